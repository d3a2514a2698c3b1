"""`envcheck report`: the report of one machine or many, in any format, and what changed since an earlier one."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from envcheck.cli._output import deliver, style_of
from envcheck.schema.errors import InputError

if TYPE_CHECKING:
    from envcheck.judge.policy import Policy
    from envcheck.schema.report import Header, Report, Subject
    from envcheck.schema.run import Validation

FORMATS = ("console", "markdown", "html", "json", "csv", "junit", "sarif", "github", "prometheus", "intoto")


@click.command("report")
@click.option(
    "--from",
    "from_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A report, check result, snapshot or validation (JSON), or a machine (TOML); several machines are merged.",
)
@click.argument(
    "more",
    nargs=-1,
    type=click.Path(path_type=Path),
    metavar="[FILE]…",
)
@click.option("--diff", "old_file", type=click.Path(path_type=Path), help="Say what changed since this earlier result.")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="Policy file (default: envcheck.toml).")
@click.option("--sprint", default=None, help="Name of the sprint, for the header.")
@click.option("--agent", default=None, help="Who asked for the report, for the header.")
@click.option("--title", default=None, help="Title of the report.")
@click.option("--template", "templates", type=click.Path(path_type=Path), help="Folder of templates to prefer.")
@click.option("--redact/--no-redact", default=None, help="Take out names and secrets (default: in files, with -o).")
@click.option("--strict", is_flag=True, help="Leave with 1 on warnings too.")
@click.option("--format", "format_name", type=click.Choice(FORMATS), default="markdown", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of printing.")
def COMMAND(  # noqa: N802
    from_files: tuple[Path, ...],
    more: tuple[Path, ...],
    old_file: Path | None,
    policy_file: Path | None,
    sprint: str | None,
    agent: str | None,
    title: str | None,
    templates: Path | None,
    redact: bool | None,
    strict: bool,
    format_name: str,
    output: Path | None,
) -> int:
    """Put results into one report. The exit code is that of the worst machine."""
    from envcheck import api
    from envcheck.formats import render

    if not (from_files or more):
        raise click.UsageError("Name at least one result with --from FILE (from run, check, report or snapshot).")
    words = {name: value for name, value in (("sprint", sprint), ("agent", agent), ("title", title)) if value}
    policy = api.policy_of(policy_file)
    report = _report([*from_files, *more], words, policy)
    if old_file is not None:
        report = _with_changes(report, old_file, policy)
    if redact or (redact is None and output is not None):
        report = _redacted(report)
    deliver(render(report, format_name, style_of(templates=str(templates) if templates else None)), output)
    codes = [api.exit_code(subject.judgement.worst, strict) for subject in report.subjects]
    return next((code for code in (1, 3) if code in codes), 0)


def _redacted(report: Report) -> Report:
    from envcheck.host import Host
    from envcheck.report_files import redacted

    return redacted(report, Host(ports=False))


def _report(paths: list[Path], words: dict[str, str], policy: Policy | None) -> Report:
    """The report as it is where one is given and its header is not changed, else composed anew."""
    from envcheck.compose.merged import merge, slimmed
    from envcheck.compose.report import compose
    from envcheck.report_files import read_result, with_validations
    from envcheck.schema.report import Subject
    from envcheck.schema.run import Validation

    if len(paths) == 1:
        result = read_result(paths[0], policy)
        if isinstance(result, Validation):
            raise InputError(f"{paths[0]} says what was run, not on what: name the machine's snapshot or report too.")
        if isinstance(result, Subject):
            return compose(result, _header(None, words))
        if not words:
            return result
        head = _header(result.header, words)
        return compose(result.subjects[0], head) if len(result.subjects) == 1 else merge(result.subjects, head)
    # One file at a time, and only what a merged report keeps: a thousand machines fit into memory.
    validations: list[Validation] = []
    subjects = _subjects(paths, policy, validations)
    first = list(islice(subjects, 2))
    if len(first) == 1:
        return compose(with_validations(first[0], validations), _header(None, words))
    merged = merge(slimmed(chain(first, subjects)), _header(None, words))
    if validations:
        raise InputError("Results of envcheck validate belong to one machine: name its file alone with them.")
    return merged


def _subjects(paths: list[Path], policy: Policy | None, validations: list[Validation]) -> Iterator[Subject]:
    """Machine after machine; what was run on one is put aside."""
    from envcheck.report_files import read_result
    from envcheck.schema.report import Report
    from envcheck.schema.run import Validation

    for path in paths:
        result = read_result(path, policy)
        if isinstance(result, Validation):
            validations.append(result)
        elif isinstance(result, Report):
            yield from result.subjects
        else:
            yield result


def _header(old: Header | None, words: dict[str, str]) -> Header:
    from envcheck import __version__
    from envcheck.schema.report import Header

    if old is not None:
        return msgspec.structs.replace(old, **words)
    command = "envcheck " + shlex.join(sys.argv[1:])
    return Header(**words, timestamp=_now(), version=__version__, command=command)


def _now() -> str:
    """The time for the header. `SOURCE_DATE_EPOCH` fixes it: https://reproducible-builds.org/specs/source-date-epoch/."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    if fixed is None:
        return datetime.now(UTC).isoformat(timespec="seconds")
    try:
        return datetime.fromtimestamp(int(fixed), UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        raise InputError(f"SOURCE_DATE_EPOCH is {fixed!r}: give seconds since 1970 or unset it.") from None


def _with_changes(report: Report, old_file: Path, policy: Policy | None) -> Report:
    """The report with a section on what changed, directly after the overview."""
    from envcheck.compose.changes import changes_section
    from envcheck.report_files import read_earlier

    before, since = read_earlier(old_file, policy)
    if len(report.subjects) != 1:
        raise InputError(f"--diff compares one machine with itself: the result holds {len(report.subjects)} machines.")
    section = changes_section(before, report.subjects[0], since)
    kept = tuple(s for s in report.sections if s.id != section.id)
    return msgspec.structs.replace(report, sections=(*kept[:1], section, *kept[1:]))
