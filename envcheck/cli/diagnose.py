"""`envcheck diagnose`: name what is wrong in an environment that somebody pasted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from envcheck.schema.errors import InputError

MAX_BYTES = 64 * 2**20
"""A paste larger than this is not a report: refuse it instead of filling memory."""
NOTHING_UNDERSTOOD = 3


@click.command("diagnose")
@click.argument("dump", required=False)
@click.option("--intent", "intent_file", metavar="FILE", help="JSON: backend, model, quantization, flags.")
@click.option("--error", "error_file", metavar="FILE", help="Further printed lines: the error itself.")
@click.option("--batch", metavar="FILE", help="JSON lines with id, dump, intent, error; one answer a line.")
@click.option("--format", "form", type=click.Choice(["console", "json", "jsonl"]), default="console", show_default=True)
def COMMAND(dump: str | None, intent_file: str | None, error_file: str | None, batch: str | None, form: str) -> int:  # noqa: N802
    """Name what is wrong in DUMP, a text somebody pasted ("-" reads standard input).

    Exit codes: 0 nothing blocks, 1 something blocks, 2 bad input, 3 nothing in the text was understood.
    """
    if batch is not None:
        if dump is not None:
            raise InputError("Give DUMP or --batch, not both.")
        return _batch(batch)
    if dump is None:
        raise InputError("Give a file with the pasted text, or - for standard input.")
    return _single(_read(dump), intent_file, error_file, form)


def _single(text: str, intent_file: str | None, error_file: str | None, form: str) -> int:
    from envcheck.api_diagnose import diagnose, intent_of

    try:
        intent = intent_of(_json(_read(intent_file), intent_file)) if intent_file else None
    except ValueError as error:
        raise InputError(f"{intent_file}: {error}.") from error
    lines = tuple(_read(error_file).splitlines()) if error_file else ()
    answer = diagnose(text, intent, lines)
    if form == "console":
        click.echo(_console(answer))
    else:
        click.echo(msgspec.json.encode(answer).decode())
    if any(finding.severity == "blocker" for finding in answer.findings):
        return 1
    return 0 if answer.findings or answer.understood else NOTHING_UNDERSTOOD


def _batch(path: str) -> int:
    from envcheck.api_diagnose import diagnose

    blocked = False
    out = sys.stdout
    for number, row in _rows(path):
        identity, dump, intent, error = _case(row, f"{path}, line {number}")
        answer = diagnose(dump, intent, error)
        blocked = blocked or any(finding.severity == "blocker" for finding in answer.findings)
        out.write(msgspec.json.encode({"id": identity, "findings": answer.findings}).decode() + "\n")
    out.flush()
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


def _console(answer: Any) -> str:
    marks = {"blocker": "✗", "warning": "!", "info": "·"}
    lines: list[str] = []
    for finding in answer.findings:
        lines.append(f"{marks[finding.severity]} {finding.cause} ({finding.severity}, {finding.confidence})")
        lines.append(f"  {finding.says}")
        lines += [f"  {f'line {q.line}' if q.line else 'reading'}: {q.text[:160]}" for q in finding.evidence[:3]]
        if finding.remedy and finding.severity != "info":
            lines.append(f"  → {finding.remedy.says}")
            lines += [f"    {command}" for command in finding.remedy.commands]
    if not lines:
        lines = ["Nothing wrong found."] if answer.understood else ["Nothing in this text was understood."]
    if answer.understood:
        lines.append(f"Read: {', '.join(answer.understood)}.")
    return "\n".join(lines)
