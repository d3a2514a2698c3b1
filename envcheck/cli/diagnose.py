"""`envcheck diagnose`: name what is wrong in an environment that somebody pasted."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from envcheck.cli._output import deliver, style_of
from envcheck.schema.errors import InputError

if TYPE_CHECKING:
    from envcheck.api_diagnose import Diagnosis
    from envcheck.schema.blocks import Mark
    from envcheck.schema.format import Style
    from envcheck.schema.verdict import Finding

MAX_BYTES = 64 * 2**20
"""A paste larger than this is not a report: refuse it instead of filling memory."""
NOTHING_UNDERSTOOD = 3


@click.command("diagnose")
@click.argument("dump", required=False)
@click.option("--intent", "intent_file", metavar="FILE", help="JSON: backend, model, quantization, flags.")
@click.option("--error", "error_file", metavar="FILE", help="Further printed lines: the error itself.")
@click.option("--batch", metavar="FILE", help="JSON lines with id, dump, intent, error; one answer a line.")
@click.option("--format", "form", type=click.Choice(["console", "json", "jsonl"]), default="console", show_default=True)
@click.option("--strict", is_flag=True, help="Leave with 1 on warnings too.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of printing.")
def COMMAND(  # noqa: N802
    dump: str | None,
    intent_file: str | None,
    error_file: str | None,
    batch: str | None,
    form: str,
    strict: bool,
    output: Path | None,
) -> int:
    """Name what is wrong in DUMP, a text somebody pasted ("-" reads standard input).

    Exit codes: 0 nothing blocks, 1 something blocks, 2 bad input, 3 nothing in the text was understood.
    """
    if batch is not None:
        if dump is not None:
            raise InputError("Give DUMP or --batch, not both.")
        return _batch(batch, strict, output)
    if dump is None:
        raise InputError("Give a file with the pasted text, or - for standard input.")
    answer = _diagnosed(_read(dump), intent_file, error_file)
    if form == "console":
        deliver(_console(answer, style_of()), output)
    else:
        deliver(msgspec.json.encode(answer).decode() + "\n", output)
    if _blocks(answer.findings, strict):
        return 1
    return 0 if answer.findings or answer.understood else NOTHING_UNDERSTOOD


def _blocks(findings: Iterable[Finding], strict: bool) -> bool:
    serious = ("blocker", "warning") if strict else ("blocker",)
    return any(finding.severity in serious for finding in findings)


def _diagnosed(text: str, intent_file: str | None, error_file: str | None) -> Diagnosis:
    from envcheck.api_diagnose import diagnose, intent_of

    try:
        intent = intent_of(_json(_read(intent_file), intent_file)) if intent_file else None
    except ValueError as error:
        raise InputError(f"{intent_file}: {error}.") from error
    lines = tuple(_read(error_file).splitlines()) if error_file else ()
    return diagnose(text, intent, lines)


def _batch(path: str, strict: bool, output: Path | None) -> int:
    from envcheck.api_diagnose import diagnose

    blocked = False
    kept: list[str] = []
    for number, row in _rows(path):
        identity, dump, intent, error = _case(row, f"{path}, line {number}")
        answer = diagnose(dump, intent, error)
        blocked = blocked or _blocks(answer.findings, strict)
        line = msgspec.json.encode({"id": identity, "findings": answer.findings}).decode() + "\n"
        if output is None:
            sys.stdout.write(line)  # as they come: a batch may be long
        else:
            kept.append(line)
    if output is not None:
        deliver("".join(kept), output)
    sys.stdout.flush()
    return 1 if blocked else 0


def _rows(path: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(_read(path).split("\n"), 1):
        if line.strip():
            yield number, _json(line, f"{path}, line {number}")


def _case(row: Any, where: str) -> tuple[Any, str, Any, tuple[str, ...]]:
    from envcheck.api_diagnose import intent_of

    if not isinstance(row, dict) or not isinstance(row.get("dump"), str) or "id" not in row:
        raise InputError(f"{where}: a case is an object with id and dump (text).")
    try:
        intent = intent_of(row.get("intent"))
    except ValueError as error:
        raise InputError(f"{where}: {error}.") from error
    error_lines = row.get("error") or []
    if isinstance(error_lines, str):
        error_lines = error_lines.splitlines()
    if not isinstance(error_lines, list) or not all(isinstance(line, str) for line in error_lines):
        raise InputError(f"{where}: error must be a list of lines.")
    return row["id"], row["dump"], intent, tuple(error_lines)


def _read(path: str) -> str:
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if path == "-" else _file(path)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES // 2**20} MiB: cut it to the part that matters.")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8", errors="replace")


def _file(path: str) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _json(text: str, where: str | None) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InputError(f"{where} is not JSON: {error}.") from error


def _console(answer: Diagnosis, style: Style) -> str:
    from envcheck.formats._text import indented, inert, mark, shown

    marks: dict[str, Mark] = {"blocker": "bad", "warning": "caution", "info": "skipped"}
    lines: list[str] = []
    for finding in answer.findings:
        head = indented(f"{finding.cause} ({finding.severity}, {finding.confidence})", "  ", style)
        lines += [f"{mark(marks[finding.severity], style)} {head[0][2:]}", *head[1:]]
        lines += indented(finding.says, "  ", style)
        for quote in finding.evidence[:3]:
            where = f"line {quote.line}" if quote.line else "reading"
            lines += indented(f"{where}: {quote.text[:160]}", "  ", style, rest="    ")
        if finding.remedy and finding.severity != "info":
            lines += indented(f"→ {finding.remedy.says}", "  ", style, rest="    ")
            lines += [f"    $ {shown(inert(command), style)}" for command in finding.remedy.commands]
    if not lines:
        lines = ["Nothing wrong found."] if answer.understood else ["Nothing in this text was understood."]
    if answer.understood:
        lines += indented(f"Read: {', '.join(answer.understood)}.", "", style)
    return "\n".join(lines) + "\n"
