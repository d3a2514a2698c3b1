"""`envcheck run`: look, judge, prove with real prompts, and write the report. The main job."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from envcheck.cli._machine import host_of, look_options
from envcheck.cli._output import deliver, style_of
from envcheck.cli._progress import shown
from envcheck.schema.errors import InputError
from envcheck.schema.report import Report

INTERRUPTED = 130
_SUFFIXES = {"markdown": "report.md", "json": "report.json", "html": "report.html"}


@click.command("run")
@look_options
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="Judge and prove only this backend.")
@click.option("--model", metavar="NAME", help="Prove this model instead of the first one that is ready.")
@click.option("--size", "sizes", multiple=True, metavar="7B", help="Model sizes of the memory table (may be repeated).")
@click.option("--sprint", default="", help="Name of the sprint, for the header.")
@click.option("--agent", default="", help="Who asked for the report, for the header.")
@click.option("--title", default=None, help="Title of the report.")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="Policy file (default: envcheck.toml).")
@click.option("--reports", "reports", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option("--strict", is_flag=True, help="Leave with 1 on warnings too.")
@click.option(
    "--offline", is_flag=True, default=True, help="No connection but loopback: always so, and here to be said."
)
def COMMAND(  # noqa: N802
    target_python: str | None,
    level: int,
    limit_s: float,
    no_ports: bool,
    backends: tuple[str, ...],
    model: str | None,
    sizes: tuple[str, ...],
    sprint: str,
    agent: str,
    title: str | None,
    policy_file: Path | None,
    reports: Path,
    strict: bool,
    offline: bool,  # noqa: ARG001  nothing here connects to anything but loopback: the word is accepted, never needed
) -> int:
    """From this machine to a proven, written readiness report.

    Looks at the machine, judges it, proves the best ready backend (or the embedded default) with real prompts and
    writes REPORTS/<date>-<machine>/report.md, report.json and report.html. The report's path is printed last.
    """
    from envcheck import api, main_job
    from envcheck.report_files import redacted

    host = host_of(target_python, level, limit_s, no_ports)
    _require_writable(reports)
    began = datetime.now(UTC)
    head = main_job.header(
        title, sprint, agent, began.isoformat(timespec="seconds"), "envcheck " + shlex.join(sys.argv[1:])
    )
    with shown() as progress:
        report = main_job.run(
            host,
            head,
            backends=backends or None,
            policy=api.policy_of(policy_file),
            models=sizes or None,
            model=model,
            progress=progress,
        )
    subject = report.subjects[0]
    folder = _fresh(reports, f"{began.date().isoformat()}-{subject.snapshot.alias}")
    _write(redacted(report, host), folder)
    deliver(_summary(report))
    click.echo(folder / _SUFFIXES["markdown"])
    if subject.validation and subject.validation.interrupted:
        return INTERRUPTED
    failed = any(run.status == "failed" for run in subject.validation.runs) if subject.validation else False
    return 1 if failed else api.exit_code(subject.judgement.worst, strict)


def _require_writable(reports: Path) -> None:
    """Find out before minutes of work whether the report can be written at all."""
    try:
        reports.mkdir(parents=True, exist_ok=True)
        touch = reports / ".envcheck-writable"
        touch.write_text("")
        touch.unlink()
    except OSError as error:
        raise InputError(
            f"Reports cannot be written to {reports} ({error.strerror}): name another folder with --reports."
        ) from None


def _fresh(reports: Path, name: str) -> Path:
    """A folder of this run's own: an earlier report of the same day stays."""
    for number in range(1, 1000):
        folder = reports / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise InputError(f"{reports} holds 999 reports of today already: name another folder with --reports.")


def _write(report: Report, folder: Path) -> None:
    from envcheck.discover import names
    from envcheck.formats import render

    known = names("envcheck.formats")
    for format_name, file in _SUFFIXES.items():
        if format_name in known:
            deliver(render(report, format_name), folder / file)


def _summary(report: Report) -> str:
    from envcheck.formats import render

    return render(report, "console", style_of())
