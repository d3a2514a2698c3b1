"""`envcheck validate`: real prompts on real backends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from envcheck.schema.run import Validation

INTERRUPTED = 130
FORMS = ("console", "json", "markdown")


@click.command(name="validate", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--backend",
    "backends",
    multiple=True,
    help="Backend to prove, or NAME=URL or NAME=URL#MODEL for a running server; repeatable.",
)
@click.option("--url", help="Address of a running server, for example http://127.0.0.1:8080/v1.")
@click.option("--model", help="Model to ask, where a backend has several: its name, or the path of its file or folder.")
@click.option("--python", "target", help="Interpreter of the target environment (default: the active one).")
@click.option("--format", "form", type=click.Choice(FORMS), default="console", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE instead.")
@click.option("--compute", is_flag=True, help="Measure the arithmetic and memory of every device first (torch).")
@click.option("--cycles", type=click.IntRange(0, 50), default=0, help="Load and unload N times more; is memory lost?")
@click.option("--no-parity", is_flag=True, help="Do not repeat a run on a GPU on the processor to compare tokens.")
@click.option("--strict", is_flag=True, help="A degraded backend counts as not met.")
@click.option(
    "--stall-limit", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Longest silence, s."
)
@click.option(
    "--prompt-limit", type=click.FloatRange(min=1), default=180.0, show_default=True, help="Longest answer, s."
)
def COMMAND(  # noqa: N802  the name every verb exports
    backends: tuple[str, ...],
    url: str | None,
    model: str | None,
    target: str | None,
    form: str,
    output: Path | None,
    compute: bool,
    cycles: int,
    no_parity: bool,
    strict: bool,
    stall_limit: float,
    prompt_limit: float,
) -> int:
    """Send real prompts to backends and say whether they answer, how right, how fast and in how much memory.

    Without --backend the best backend that is ready is proved, else the embedded llama.cpp.
    """
    from envcheck.cli._output import deliver
    from envcheck.cli._validation_text import console, markdown, printable
    from envcheck.host import Host
    from envcheck.predictions import Expectations
    from envcheck.validate.run import Limits, validate

    host = Host(target_python=target)
    expectations = Expectations(host)
    validation = validate(
        host,
        backends=backends or None,
        url=url,
        model=model,
        progress=lambda line: click.echo(f"… {printable(line)}", err=True),
        with_compute=compute,
        cycles=cycles,
        with_parity=not no_parity,
        predict=expectations.of,
        limits=Limits(prompt_s=prompt_limit, stall_s=stall_limit),
    )
    forms = {"json": _json, "markdown": markdown, "console": console}
    deliver(forms[form](expectations.explained(validation)), output)
    return exit_code(validation, strict=strict)


def exit_code(validation: Validation, *, strict: bool) -> int:
    """0 every run passed · 1 one failed · 3 one could not be proved · 130 interrupted."""
    if validation.interrupted:
        return INTERRUPTED
    states = {run.status for run in validation.runs}
    states |= {compute.status for compute in validation.compute} - {"skipped"}
    if "failed" in states or (strict and "degraded" in states):
        return 1
    return 3 if "skipped" in states or not states else 0


def _json(validation: Validation) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(validation), indent=2).decode() + "\n"
