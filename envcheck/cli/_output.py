"""Where rendered text goes: standard output in whatever it can carry, or a file that is complete or not there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from envcheck.schema.errors import InputError
from envcheck.schema.format import Style


def style_of(stream: TextIO | None = None, env: Mapping[str, str] | None = None, templates: str | None = None) -> Style:
    """How to lay text out for `stream` (default: standard output).

    Colour only on a terminal and without `NO_COLOR` (https://no-color.org, set to anything but nothing) or
    `TERM=dumb`; 100 columns where there is no terminal; ASCII where the stream's encoding lacks our marks.
    """
    stream = sys.stdout if stream is None else stream
    env = os.environ if env is None else env
    terminal = _is_terminal(stream)
    columns = shutil.get_terminal_size((100, 24)).columns if terminal else 100
    colour = terminal and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
    return Style(width=columns, colour=colour, unicode=_carries(stream, "✔▲✘·…│≥"), templates=templates)


def terminal_width() -> int | None:
    """Columns of the terminal that standard output goes to; None where it goes into a file or a pipe."""
    return shutil.get_terminal_size((100, 24)).columns if _is_terminal(sys.stdout) else None


def deliver(text: str, path: Path | None = None) -> None:
    """Print `text`, or write it to `path` (UTF-8) in one move, so that no reader ever sees half a file.

    What the terminal's encoding cannot carry becomes `?`. Raises InputError when the file cannot be written.
    """
    if path is None:
        _write(text, sys.stdout)
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"Cannot write {path}: {error.strerror or error}; choose another file with -o.") from error


def _write(text: str, stream: TextIO) -> None:
    encoding = stream.encoding or "ascii"
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        text = text.encode("ascii", "replace").decode()
    stream.write(text)
    stream.flush()


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _carries(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
