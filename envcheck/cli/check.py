"""`envcheck check`: judge a machine against the requirements matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from envcheck.cli._machine import machine_options, snapshot_of
from envcheck.cli._output import deliver, style_of
from envcheck.schema.verdict import Intent

if TYPE_CHECKING:
    from envcheck.judge.policy import Policy
    from envcheck.schema.report import Subject

FORMATS = ("console", "json", "markdown", "html", "junit", "sarif", "prometheus")


@click.command("check")
@machine_options
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="Judge only this backend (may be repeated).")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Does this model fit? (may be repeated)")
@click.option("--size", "sizes", multiple=True, metavar="7B", help="Does a model of this size fit? (may be repeated)")
@click.option("--quant", metavar="Q", help="Quantization of the model: Q4_K_M, awq, fp8, bf16 …")
@click.option("--context", type=click.IntRange(min=1), help="Tokens of context per request.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Requests at the same time.")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="Policy file (default: envcheck.toml).")
@click.option("--diff", "old_file", type=click.Path(path_type=Path), help="Say what changed since this earlier result.")
@click.option("--strict", is_flag=True, help="Leave with 1 on warnings too.")
@click.option("--format", "format_name", type=click.Choice(FORMATS), default="console", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of printing.")
def COMMAND(  # noqa: N802
    from_file: Path | None,
    assume_file: Path | None,
    target_python: str | None,
    level: int,
    limit_s: float,
    no_ports: bool,
    backends: tuple[str, ...],
    models: tuple[str, ...],
    sizes: tuple[str, ...],
    quant: str | None,
    context: int | None,
    concurrency: int | None,
    policy_file: Path | None,
    old_file: Path | None,
    strict: bool,
    format_name: str,
    output: Path | None,
) -> int:
    """Will this machine run these backends, and if not, what is the first thing to do?

    --diff OLD also says what is not as it was: OLD is a snapshot, a check result (JSON) or a report (JSON). The exit
    code is that of the verdicts, whatever changed.
    """
    from envcheck import api
    from envcheck.formats import render

    snapshot = snapshot_of(from_file, assume_file, target_python, level, limit_s, no_ports, (api.warm_up, api.rehearse))
    wanted = [*models, *sizes]
    if not wanted and (quant or context or concurrency):
        raise click.UsageError("--quant, --context and --concurrency need a model: name one with --model or --size.")
    intent = Intent(
        model=wanted[0] if len(wanted) == 1 else None, quantization=quant, context=context, concurrency=concurrency
    )
    policy = api.policy_of(policy_file)
    earlier = _earlier(old_file, policy)
    document = api.check(snapshot, intent, backends or None, policy, models=wanted, earlier=earlier)
    deliver(render(document, format_name, style_of()), output)
    return api.exit_code(document.worst, strict)


def _earlier(path: Path | None, policy: Policy | None) -> tuple[Subject, str] | None:
    if path is None:
        return None
    from envcheck.report_files import read_earlier

    return read_earlier(path, policy)
