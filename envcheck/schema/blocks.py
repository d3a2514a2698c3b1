"""What a report is made of: plain text in blocks, with the meaning kept (a state, a number to sort by, a command).

Text is plain, never markup: each format escapes it. A figure's provenance ("measured", "calculated", "table",
"assumed") is part of the text of its table's `basis`.
"""

from __future__ import annotations

from typing import Literal

from envcheck.schema.facts import Record

Mark = Literal["good", "caution", "bad", "unknown", "skipped"]


class Cell(Record):
    """A piece of text: in a table, in a list."""

    text: str
    mark: Mark | None = None
    """A state shown beside the words, which always say it too."""
    sort: float | None = None
    """What a sortable table orders by, where the text is not enough."""
    code: bool = False
    """Something to type or an identifier: shown literally."""
    link: str = ""
    """An https address, or "#id" of a section or part of the same document."""


class Paragraph(Record, tag_field="block", tag="paragraph"):
    """Running text."""

    text: str


class Note(Record, tag_field="block", tag="note"):
    """Text that must not be overlooked."""

    text: str
    mark: Mark


class Column(Record):
    """A column's head."""

    title: str
    numeric: bool = False


class Table(Record, tag_field="block", tag="table"):
    """Every row has as many cells as there are columns; a table has at least one row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    basis: str = ""
    """Where the figures are from: measured, calculated, a table with its date, assumed."""


class Commands(Record, tag_field="block", tag="commands"):
    """Lines shown as they are: to paste into a shell of the machine, or ("text") what an engine answered."""

    says: str
    lines: tuple[str, ...]
    language: Literal["bash", "powershell", "text"] = "bash"


class Points(Record, tag_field="block", tag="points"):
    """A list."""

    items: tuple[Cell, ...]
    ordered: bool = False


class Bar(Record):
    """One bar: `value` with its uncertainty, against `limit`."""

    label: str
    value: float
    low: float
    high: float
    limit: float | None = None
    mark: Mark | None = None


class Bars(Record, tag_field="block", tag="bars"):
    """Quantities side by side, each against its own limit. `says` tells the same in one sentence."""

    title: str
    unit: str
    says: str
    bars: tuple[Bar, ...]


class Band(Record):
    """An expected range, and what was measured where something was."""

    label: str
    low: float
    value: float
    high: float
    measured: float | None = None


class Bands(Record, tag_field="block", tag="bands"):
    """Ranges side by side on one axis. `says` tells the same in one sentence."""

    title: str
    unit: str
    says: str
    bands: tuple[Band, ...]


class Span(Record):
    """A stretch of time, seconds from the start."""

    label: str
    start: float
    end: float
    mark: Mark | None = None


class Timeline(Record, tag_field="block", tag="timeline"):
    """What happened when. `says` tells the same in one sentence."""

    title: str
    says: str
    spans: tuple[Span, ...]


class Fold(Record, tag_field="block", tag="fold"):
    """Material for the one who wants it: closed at first where a format can."""

    title: str
    blocks: tuple[Block, ...]


class Part(Record, tag_field="block", tag="part"):
    """A subsection."""

    id: str
    title: str
    blocks: tuple[Block, ...]


Block = Paragraph | Note | Table | Commands | Points | Bars | Bands | Timeline | Fold | Part


class Section(Record):
    """A chapter of the report. `id` is unique in the document and safe in an address; it has at least one block."""

    id: str
    title: str
    blocks: tuple[Block, ...]
