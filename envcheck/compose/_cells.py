"""Small parts of blocks that several sections use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from envcheck.schema.blocks import Cell, Column, Mark, Table
from envcheck.schema.describe import gib, listed
from envcheck.schema.fit import FitRow
from envcheck.schema.report import Report
from envcheck.schema.verdict import Status

STATUS_WORDS: dict[Status, tuple[Mark, str]] = {
    "met": ("good", "met"),
    "warning": ("caution", "to note"),
    "not_met": ("bad", "not met"),
    "unknown": ("unknown", "unknown"),
    "skipped": ("skipped", "not judged"),
    "waived": ("caution", "waived"),
}
STATE_WORDS: dict[str, tuple[Mark, str]] = {
    "ready": ("good", "ready"),
    "ready_after_install": ("caution", "ready after install"),
    "limited": ("caution", "limited"),
    "blocked": ("bad", "blocked"),
    "unknown": ("unknown", "unknown"),
}
FIT_WORDS: dict[str, tuple[Mark, str]] = {
    "fits": ("good", "fits"),
    "tight": ("caution", "tight"),
    "offload": ("caution", "partly in main memory"),
    "no": ("bad", "does not fit"),
    "unknown": ("unknown", "unknown"),
}


def settled(report: Report) -> Report:
    """The report as its JSON gives it back, so that reading it changes nothing (an int in a float field)."""
    return msgspec.json.decode(msgspec.json.encode(report), type=Report)


def columns(*titles: str) -> tuple[Column, ...]:
    """Heads from titles; a title that starts with "#" heads a column of numbers."""
    return tuple(Column(title=title.lstrip("#"), numeric=title.startswith("#")) for title in titles)


def row(*cells: Cell | str) -> tuple[Cell, ...]:
    """A table row; plain text becomes a plain cell, no text a dash."""
    return tuple(cell if isinstance(cell, Cell) and cell.text else Cell(text=_text(cell) or "–") for cell in cells)


def _text(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.text


def table(caption: str, titles: Sequence[str], rows: Iterable[Sequence[Cell | str]], basis: str = "") -> Table:
    """A table of cells and plain texts."""
    return Table(caption=caption, columns=columns(*titles), rows=tuple(row(*cells) for cells in rows), basis=basis)


def code(text: str) -> Cell:
    """Something to type, or an identifier."""
    return Cell(text=text, code=True)


def number(value: float | None, digits: int = 1, unit: str = "") -> Cell:
    """A figure that sorts as a number; a dash where there is none."""
    if value is None:
        return Cell(text="–")
    return Cell(text=f"{spaced(value, digits)}{unit}", sort=float(value))


def spaced(value: float, digits: int = 0) -> str:
    """A figure with its thousands apart: "12 345.6"."""
    return f"{value:,.{digits}f}".replace(",", " ")


def said_once(said: Iterable[tuple[str, str]]) -> list[str]:
    """(backend's title, sentence) as sentences; those that differ in the title alone become one for all of them."""
    groups: dict[str, list[str]] = {}
    for title, text in said:
        groups.setdefault(text.replace(title, "{}") if title else text, []).append(title)
    return [text.replace("{}", listed(list(dict.fromkeys(titles)))) for text, titles in groups.items()]


def memory_cell(fit: FitRow) -> Cell:
    """What a fit needs in all, the part in main memory included."""
    terms = fit.memory_mib
    if terms is None:
        return Cell(text="–")
    return Cell(text=gib(terms.total + fit.host_mib), sort=terms.total + fit.host_mib)
