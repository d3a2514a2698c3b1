"""Text for a person at a terminal: what works, what breaks first, what to do first. Read in ten seconds."""

from __future__ import annotations

from collections import Counter
from typing import Any

from envcheck.formats._text import (
    ASCII_MARKS,
    MARKS,
    MIN_WIDTH,
    indented,
    inert,
    mark,
    pad,
    paint,
    shown,
    width_of,
)
from envcheck.schema.blocks import Mark
from envcheck.schema.describe import gib, machine_line
from envcheck.schema.fit import FitRow
from envcheck.schema.format import Format, Style
from envcheck.schema.report import Action, Changes, CheckDocument, Report
from envcheck.schema.verdict import BackendState, Status, Verdict

STATE_MARK: dict[str, Mark] = {
    "ready": "good",
    "ready_after_install": "caution",
    "limited": "caution",
    "blocked": "bad",
    "unknown": "unknown",
}
STATE_WORDS = {
    "ready": "ready",
    "ready_after_install": "after install",
    "limited": "limited",
    "blocked": "blocked",
    "unknown": "unknown",
}
FIT_MARK: dict[str, Mark] = {
    "fits": "good",
    "tight": "caution",
    "offload": "caution",
    "no": "bad",
    "unknown": "unknown",
}
_STATUS_WORDS: tuple[tuple[Status, str], ...] = (
    ("not_met", "not met"),
    ("warning", "to note"),
    ("unknown", "unknown"),
    ("skipped", "skipped"),
    ("waived", "waived"),
    ("met", "met"),
)
_NARROW = 64
"""Below this many columns a backend takes two lines instead of one row of a table."""


def render(document: Any, style: Style) -> str:
    """The check document or report as plain lines no wider than the terminal, ending with a line feed."""
    lines = _report_lines(document, style) if isinstance(document, Report) else _check_lines(document, style)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _check_lines(document: CheckDocument, style: Style) -> list[str]:
    lines = [paint(line, "bold", style) for line in indented(machine_line(document.machine), "", style)]
    lines += ["", *backend_lines(document.backends, document.verdicts, style)]
    if document.fit:
        lines += ["", *fit_lines(document.fit, style)]
    lines += ["", *change_lines(document.changes, style)] if document.changes else []
    lines += ["", *action_lines(document.first, style)]
    return [*lines, "", *_tally(document.verdicts, style)]


def _report_lines(document: Report, style: Style) -> list[str]:
    header, answer = document.header, document.outcome
    lines = [paint(line, "bold", style) for line in indented(header.title, "", style)]
    said = " · ".join(text for text in (header.timestamp, header.sprint, header.agent) if text)
    lines += indented(said, "", style) if said else []
    lines += ["", *indented(answer.says, "", style)]
    for subject in document.subjects:
        lines += ["", *(paint(line, "bold", style) for line in indented(machine_line(subject.snapshot), "", style))]
        lines += backend_lines(subject.judgement.backends, subject.judgement.verdicts, style)
        lines += ["", *fit_lines(subject.fits, style)] if subject.fits else []
    lines += ["", *action_lines(answer.first, style), ""]
    missing = f" (missing: {'; '.join(answer.missing)})" if answer.missing else ""
    lines += indented(f"Report: {answer.report_status}{missing}", "", style)
    lines += indented(f"Environment: {answer.environment_status}", "", style)
    return [*lines, *indented(f"Next phase: {answer.next_phase}", "", style)]


def backend_lines(backends: dict[str, BackendState], verdicts: tuple[Verdict, ...], style: Style) -> list[str]:
    """One row per backend: sign, name, state, why; then the id of the first broken link."""
    if not backends:
        return ["No backend was judged."]
    if max(style.width, MIN_WIDTH) < _NARROW:
        return [line for name, state in backends.items() for line in _narrow_backend(name, state, style)]
    links: dict[str, str] = {v.id: v.link for v in verdicts}
    widest = max(width_of(shown(inert(name), style)) for name in backends)
    return [line for name, state in backends.items() for line in _wide_backend(name, state, links, widest, style)]


def _narrow_backend(name: str, state: BackendState, style: Style) -> list[str]:
    kind = STATE_MARK[state.status]
    sign = (MARKS if style.unicode else ASCII_MARKS)[kind]
    head = indented(f"{name}: {STATE_WORDS[state.status]}", f"{sign} ", style)
    return [*(paint(line, kind, style) for line in head), *indented(state.why, "  ", style)]


def _wide_backend(name: str, state: BackendState, links: dict[str, str], widest: int, style: Style) -> list[str]:
    kind = STATE_MARK[state.status]
    word = pad(STATE_WORDS[state.status], max(len(word) for word in STATE_WORDS.values()))
    blanks = " " * (widest + width_of(word) + 6)
    head = f"{mark(kind, style)} {pad(shown(inert(name), style), widest)}  {paint(word, kind, style)}  "
    why = indented(state.why, blanks, style)
    lines = [head + why[0][len(blanks) :], *why[1:]]
    if state.first_broken and state.status != "ready":
        broken = f"first broken link: {links.get(state.first_broken, 'unknown')} ({state.first_broken})"
        lines += [paint(line, "dim", style) for line in indented(broken, blanks, style)]
    return lines


def fit_lines(rows: tuple[FitRow, ...], style: Style) -> list[str]:
    """A matrix of models against backends with their quantizations; a list where the terminal is too narrow for it."""
    columns = list(dict.fromkeys((row.backend, row.quant) for row in rows))
    cells = {(row.model, row.backend, row.quant): row for row in rows}
    table = [["memory", *(shown(inert(f"{backend} {quant}"), style) for backend, quant in columns)]]
    for model in dict.fromkeys(row.model for row in rows):
        found = [cells.get((model, *column)) for column in columns]
        table.append([shown(inert(model), style), *(_fit_text(row, style) if row else "" for row in found)])
    widths = [max(width_of(line[i]) for line in table) for i in range(len(table[0]))]
    if sum(widths) + 2 * len(widths) <= max(style.width, MIN_WIDTH):
        return ["  ".join(pad(cell, width) for cell, width in zip(line, widths, strict=True)) for line in table]
    lines = []
    for model in dict.fromkeys(row.model for row in rows):
        lines += indented(model, "", style)
        for one in (row for row in rows if row.model == model):
            lines += indented(f"{_fit_text(one, style)} {one.backend} {one.quant}", "  ", style, rest="    ")
    return lines


def _fit_text(row: FitRow, style: Style) -> str:
    total = row.memory_mib.total if row.memory_mib else None
    sign = (MARKS if style.unicode else ASCII_MARKS)[FIT_MARK[row.status]]
    word = "" if row.status in ("fits", "no") else f"{row.status} "
    return f"{sign} {word}{gib(total) if total is not None else ''}".rstrip()


def change_lines(changes: Changes, style: Style) -> list[str]:
    """What is not as it was, one thing a line."""
    since = f" since {changes.since}" if changes.since else ""
    if not changes.found:
        return indented(f"Nothing that matters changed{since}.", "", style)
    lines = [paint(line, "bold", style) for line in indented(f"Changed{since}:", "", style)]
    for change in changes.found:
        text = f"{change.what}: {change.before} → {change.after}"
        found = indented(text, "  ", style)
        lines += [f"{mark(change.mark, style)} {found[0][2:]}", *found[1:]]
    return lines


def action_lines(action: Action | None, style: Style) -> list[str]:
    """What to do first, with its commands; commands are never wrapped, so that they can be copied."""
    if action is None:
        return [paint("Nothing needs doing first.", "bold", style)]
    lines = indented(f"Do first: {action.says}", "", style)
    lines = [paint(lines[0], "bold", style), *lines[1:]]
    lines += [f"  $ {shown(inert(command), style)}" for command in action.commands]
    if action.needs_root:
        lines += indented("Needs administrator rights.", "  ", style)
    if action.risk != "safe":
        warning = {"restart": "Needs a restart.", "risky": "Can break what works now: read before running."}
        lines += indented(warning[action.risk], "  ", style)
    return lines


def _tally(verdicts: tuple[Verdict, ...], style: Style) -> list[str]:
    counts = Counter(v.status for v in verdicts)
    said = [f"{counts[status]} {word}" for status, word in _STATUS_WORDS if counts[status]]
    return [paint(line, "dim", style) for line in indented(" · ".join(said) or "no requirements judged", "", style)]


FORMAT = Format(
    name="console", says="for a person at a terminal", suffix=".txt", media_type="text/plain", render=render
)
