"""Fit rows as a table for people: aligned text or Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from envcheck.formats._text import wrap
from envcheck.schema.fit import FitRow
from envcheck.schema.speed import Band

HEADINGS = ("model", "backend", "quant", "verdict", "needs", "room", "context", "users", "decode", "why")
MARKS = {"fits": "fits", "tight": "tight", "offload": "offload", "no": "no", "unknown": "unknown"}


def cells(row: FitRow) -> tuple[str, ...]:
    """One row's cells."""
    memory = row.memory_mib
    speed = row.speed.decode_tps if row.speed else None
    return (
        f"{row.model}" + (f" ({row.params_b:.1f}B)" if row.params_b else ""),
        row.backend,
        row.quant,
        MARKS[row.status],
        _gib(memory.total) if memory else "–",
        _gib(memory.available) if memory else "–",
        f"≤ {row.max_context}" if row.max_context else "–",
        f"≤ {row.max_concurrency}" if row.max_concurrency else "–",
        _band(speed) if speed else "–",
        row.why,
    )


def _inert(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _gib(mib: float) -> str:
    return f"{mib / 1024:.1f} GiB"


def _band(band: Band) -> str:
    digits = 0 if band.value >= 10 else 1
    return f"{band.value:.{digits}f} ({band.low:.{digits}f}–{band.high:.{digits}f}) tok/s"


def console(rows: Sequence[FitRow], width: int | None = None) -> str:
    """Aligned columns, then each row's command and what was assumed; a list where a terminal is too narrow.

    `width` is the terminal's in columns; None: there is no terminal, and lines may be of any length.
    """
    table = [HEADINGS, *(cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADINGS) - 1)]
    if width is not None and sum(widths) + 2 * len(widths) + _LEAST_WHY > width:
        return "\n".join([*(line for row in rows for line in _listed(row, width)), *_details(rows)]) + "\n"
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in table
    ]
    lines += _details(rows)
    return "\n".join(lines) + "\n"


_LEAST_WHY = 20
"""Columns that the reason needs to be worth a column of its own."""


def _listed(row: FitRow, width: int) -> list[str]:
    """One row as a short paragraph: what decides first, the figures below it."""
    named = dict(zip(HEADINGS, cells(row), strict=True))
    room = "" if row.memory_mib is None else f"needs {named['needs']} of {named['room']}"
    limits = ", ".join(f"{name} {named[name]}" for name in ("context", "users") if named[name] != "–")
    speed = "" if named["decode"] == "–" else f"decode {named['decode']}"
    texts = [room, limits, speed, row.why if row.status not in ("fits", "tight") else ""]
    head = f"{named['model']}, {row.backend} {row.quant}: {named['verdict']}"
    lines = wrap(head, width)
    return [*lines[:1], *(f"  {line}" for line in lines[1:]), *_indented(texts, width)]


def _indented(texts: Sequence[str], width: int) -> list[str]:
    return [f"  {line}" for text in texts if text for line in wrap(text, max(width - 2, 8))]


def _details(rows: Sequence[FitRow]) -> list[str]:
    commands = [f"  {row.command}" for row in rows if row.command]
    notes = sorted({note for row in rows for note in row.assumptions})
    lines = ["", "Start with:", *commands] if commands else []
    if notes:
        lines += ["", "Assumed: " + "; ".join(notes) + "."]
    return lines


def markdown(rows: Sequence[FitRow]) -> str:
    """A Markdown table; text in cells cannot break it."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    lines += ["| " + " | ".join(_inert(cell) for cell in cells(row)) + " |" for row in rows]
    notes = sorted({note for row in rows for note in row.assumptions})
    if notes:
        lines += ["", "Assumed: " + "; ".join(notes) + "."]
    return "\n".join(lines) + "\n"
