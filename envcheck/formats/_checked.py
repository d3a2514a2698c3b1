"""The check document as blocks, for formats that lay out sections: layout only, every word is in the document."""

from __future__ import annotations

from collections.abc import Iterable

from envcheck.schema.blocks import Block, Cell, Column, Commands, Mark, Note, Paragraph, Section, Table
from envcheck.schema.describe import backend_title, gib, machine_line, plural
from envcheck.schema.fit import FitRow
from envcheck.schema.report import Changes, CheckDocument
from envcheck.schema.verdict import Verdict

STATE_MARK: dict[str, Mark] = {
    "ready": "good", "ready_after_install": "caution", "limited": "caution", "blocked": "bad", "unknown": "unknown",
}  # fmt: skip
STATUS_MARK: dict[str, Mark] = {
    "met": "good", "warning": "caution", "not_met": "bad",
    "unknown": "unknown", "skipped": "skipped", "waived": "caution",
}  # fmt: skip
FIT_MARK: dict[str, Mark] = {
    "fits": "good",
    "tight": "caution",
    "offload": "caution",
    "no": "bad",
    "unknown": "unknown",
}


def sections(document: CheckDocument) -> tuple[Section, ...]:
    """Backends with what to do first, then what changed, every verdict and the fits."""
    found = [_summary(document)]
    if document.changes:
        found.append(_changes(document.changes))
    if document.verdicts:
        found.append(Section(id="requirements", title="Requirements", blocks=(_verdicts(document.verdicts),)))
    if document.fit:
        found.append(Section(id="fit", title="Models", blocks=(_fits(document.fit),)))
    return tuple(found)


def _summary(document: CheckDocument) -> Section:
    blocks: list[Block] = [
        Paragraph(text=machine_line(document.machine)),
        Note(text=f"Worst: {_words(document.worst)}.", mark=STATUS_MARK[document.worst]),
    ]
    rows = [
        (
            Cell(text=backend_title(name)),
            Cell(text=_words(state.status), mark=STATE_MARK[state.status]),
            Cell(text=state.why),
        )
        for name, state in document.backends.items()
    ]
    if rows:
        blocks.append(_table("Backends", ("Backend", "State", "Why"), rows))
    if document.first and document.first.commands:
        blocks.append(Commands(says=f"To do first: {document.first.says}", lines=document.first.commands))
    elif document.first:
        blocks.append(Note(text=f"To do first: {document.first.says}", mark="caution"))
    return Section(id="summary", title="Outcome", blocks=tuple(blocks))


def _changes(changes: Changes) -> Section:
    title = f"Changes since {changes.since}" if changes.since else "Changes"
    block: Block = Note(text="Nothing that matters changed.", mark="good")
    if changes.found:
        rows = [(Cell(text=c.what, mark=c.mark), Cell(text=c.before), Cell(text=c.after)) for c in changes.found]
        block = _table(plural(len(rows), "change"), ("What", "Before", "Now"), rows)
    return Section(id="changes", title=title, blocks=(block,))


def _verdicts(verdicts: tuple[Verdict, ...]) -> Table:
    rows = [
        (
            Cell(text=verdict.id, code=True),
            Cell(text=_words(verdict.status), mark=STATUS_MARK[verdict.status]),
            Cell(text=verdict.expected if verdict.expected and verdict.status != "skipped" else "–"),
            Cell(text=verdict.actual if verdict.actual and verdict.status != "skipped" else "–"),
            Cell(text=_says(verdict)),
        )
        for verdict in verdicts
    ]
    return _table("Requirements", ("Requirement", "Status", "Required", "Available", "What it means"), rows)


def _says(verdict: Verdict) -> str:
    if verdict.skipped_because:
        return f"waits for {verdict.skipped_because}"
    if verdict.status == "met":
        return verdict.says
    ways = [way.says for way in verdict.ways_out] or ([verdict.remedy.says] if verdict.remedy else [])
    return f"{verdict.says} → {' Or: '.join(ways)}" if ways else verdict.says


def _fits(rows: tuple[FitRow, ...]) -> Table:
    heads = ("Model", "Backend", "Weights as", "Fits", "Needed", "Available", "Decode (tokens/s)", "Why")
    return _table("Models", heads, [_fit(row) for row in rows])


def _fit(row: FitRow) -> tuple[Cell, ...]:
    memory, decode = row.memory_mib, row.speed.decode_tps if row.speed else None
    return (
        Cell(text=row.model),
        Cell(text=backend_title(row.backend)),
        Cell(text=row.quant, code=True),
        Cell(text=_words(row.status), mark=FIT_MARK[row.status]),
        Cell(text=gib(memory.total) if memory else "–"),
        Cell(text=gib(memory.available) if memory else "–"),
        Cell(text=f"{decode.low:.0f}–{decode.high:.0f}" if decode else "–"),
        Cell(text=row.why),
    )


def _words(status: str) -> str:
    return status.replace("_", " ")


def _table(caption: str, heads: Iterable[str], rows: Iterable[tuple[Cell, ...]]) -> Table:
    return Table(caption=caption, columns=tuple(Column(title=head) for head in heads), rows=tuple(rows))
