"""One table per backend: what it requires, what this machine has, and what to do about the difference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from envcheck.compose._cells import STATE_WORDS, STATUS_WORDS, row, table
from envcheck.compose.checked import RELEASE, helps_of
from envcheck.compose.installs import plan_of
from envcheck.compose.overview import slug
from envcheck.schema.blocks import Block, Cell, Fold, Mark, Note, Paragraph, Part, Points, Section
from envcheck.schema.describe import backend_title, plural
from envcheck.schema.report import Subject
from envcheck.schema.verdict import BackendState, Verdict

_SPELLED = (
    "GPU CPU CUDA ROCm RAM VRAM OS glibc Python Docker ABI MIG WSL NVIDIA AMD FP8 FP16 BF16 AVX AVX2 NCCL HIP NumPy "
    "Transformers PyTorch Ollama Triton"
)
_ACRONYMS = {word.lower(): word for word in _SPELLED.split()}
_ACRONYMS |= {"torch": "PyTorch", "shm": "Shared memory", "env": "environment", "gfx": "gfx target"}
_NEEDS_A_LOOK = ("not_met", "unknown", "warning", "waived")


def compatibility_section(subject: Subject) -> Section | None:
    """A part per backend in the judge's order, after one for what concerns all of them."""
    judgement = subject.judgement
    names = dict.fromkeys([*(["machine"] if _of(judgement.verdicts, "machine") else []), *judgement.backends])
    mends = helps_of(judgement)

    def helps(verdict: Verdict) -> bool:
        return mends(verdict) and not (verdict.fixed_by_install and plan_of(verdict.backend, subject))

    parts = [_part(name, judgement.backends.get(name), _of(judgement.verdicts, name), helps) for name in names]
    if not parts:
        return None
    says = Paragraph(text=_basis(judgement.verdicts))
    return Section(id="compatibility", title="Backend compatibility", blocks=(says, *parts))


def _of(verdicts: Sequence[Verdict], backend: str) -> list[Verdict]:
    """The verdicts of a backend; the project's own demands have a section of theirs (`critical`)."""
    return [v for v in verdicts if v.backend == backend and not v.id.startswith("policy.")]


def _part(name: str, state: BackendState | None, verdicts: list[Verdict], helps: Callable[[Verdict], bool]) -> Part:
    names = labels(verdicts)
    title = backend_title(name) + (f": {STATE_WORDS[state.status][1]}" if state else "")
    blocks: list[Block] = []
    if state:
        blocks.append(Note(text=state.why, mark=STATE_WORDS[state.status][0]))
    judged = [verdict for verdict in verdicts if verdict.status != "skipped"]
    if judged:
        caption = f"Requirements of {backend_title(name)}" if name != "machine" else "What concerns every backend"
        blocks += _tables(caption, judged, names, helps, state)
    skipped = [verdict for verdict in verdicts if verdict.status == "skipped"]
    if skipped:
        blocks.append(_skipped(skipped, names))
    if not blocks:
        blocks.append(Note(text="Nothing is known about what it requires.", mark="unknown"))
    return Part(id=f"backend-{slug(name)}", title=title, blocks=tuple(blocks))


def _tables(
    caption: str,
    verdicts: list[Verdict],
    names: dict[str, str],
    helps: Callable[[Verdict], bool],
    state: BackendState | None,
) -> list[Block]:
    """What is open, with its way out, then what is met and says something; the rest is folded away.

    Of a blocked backend everything that is met is folded away.
    """
    newest = next((v.expected for v in verdicts if v.id.endswith(f".{RELEASE}") and v.status == "warning"), "")
    is_open = [v for v in verdicts if v.status in _NEEDS_A_LOOK and not _is_side_issue(v)]
    rest = sorted((v for v in verdicts if v not in is_open), key=_is_side_issue)
    telling = [v for v in rest if v.expected not in ("", "present") and v.status != "unknown"]
    shown = is_open if state and state.status == "blocked" and is_open else [*is_open, *telling]
    shown, rest = (shown, [v for v in rest if v not in shown]) if shown else (rest, [])
    notes = {v.id: _note(v, helps, state) for v in shown}
    heads = ["Requirement", "Required", "Available", "Status", *(["Note"] if any(notes.values()) else [])]
    rows = [row(*_row(v, names[v.id], newest), *([notes[v.id]] if any(notes.values()) else [])) for v in shown]
    blocks: list[Block] = [table(caption, heads, rows)]
    if len(shown) < len(verdicts):
        title = f"{plural(len(rest), 'other requirement')}: nothing in the way"
        met = table(
            f"{caption}: what does not stand in the way", heads[:4], [_row(v, names[v.id], newest) for v in rest]
        )
        blocks.append(Fold(title=title, blocks=(met,)))
    return blocks


def _is_side_issue(verdict: Verdict) -> bool:
    return verdict.severity == "info" and verdict.status == "unknown"


def _row(verdict: Verdict, name: str, newest: str) -> tuple[Cell, ...]:
    mark, word = _status(verdict, newest)
    available = f"unknown: {_reason(verdict)}" if verdict.status == "unknown" and _reason(verdict) else verdict.actual
    return row(name, verdict.expected or "–", available or "–", Cell(text=word, mark=mark))


def _reason(verdict: Verdict) -> str:
    """Why nobody knows: the part of the sentence that the columns do not say."""
    return verdict.says.partition(" could not be judged: ")[2].rstrip(".")


def _note(verdict: Verdict, helps: Callable[[Verdict], bool], state: BackendState | None) -> str:
    """The way out, or what an open verdict says beyond its columns and the backend's own line."""
    if verdict.status not in _NEEDS_A_LOOK or verdict.id.endswith(f".{RELEASE}"):
        return ""
    if verdict.id.startswith(f"{verdict.backend}.policy."):
        return "see Critical settings"
    remedy = verdict.remedy if helps(verdict) else None
    root = " (needs administrator rights)" if remedy and remedy.needs_root else ""
    said = "" if verdict.fixed_by_install or _reason(verdict) else _beyond_columns(verdict)
    if state is not None and (state.first_broken == verdict.id or said.rstrip(".") in state.why):
        said = ""
    if remedy and remedy.says.partition(" or ")[0].rstrip(".").lower() not in said.lower():
        return f"{said} {remedy.says}{root}".strip()
    return f"{said}{root}" if said else ""


def _beyond_columns(verdict: Verdict) -> str:
    """The sentence without "this is …"; nothing where the rest only repeats the requirement."""
    says = verdict.says.partition("; this is ")[0].partition("; this GPU has ")[0].rstrip(".")
    wanted = verdict.expected.removeprefix("≥ ")
    if re.fullmatch(r"\S+ \S+ needs .{0,40}" + re.escape(wanted), says):
        return ""
    return f"{says}."


def _status(verdict: Verdict, newest: str) -> tuple[Mark, str]:
    if verdict.status == "not_met" and verdict.fixed_by_install:
        return "caution", "to be installed"
    if verdict.status == "not_met" and verdict.severity != "blocker":
        return "caution", "not met, not needed" if verdict.severity == "info" else "not met, to note"
    if verdict.status == "not_met" and newest and f" {newest} " in verdict.says:
        return "caution", f"not met by {newest}"
    return STATUS_WORDS[verdict.status]


def labels(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Id → a requirement's name for a person: its title, or its id in words ("vllm.gpu.kernels" → "GPU kernels").

    Two that would read alike keep their ids.
    """
    words = {verdict.id: _words(verdict) for verdict in verdicts}
    often = Counter(words.values())
    return {verdict_id: verdict_id if often[text] > 1 else text for verdict_id, text in words.items()}


def _words(verdict: Verdict) -> str:
    if verdict.title:
        return verdict.title
    tail = verdict.id.removeprefix(f"{verdict.backend}.")
    words = [_ACRONYMS.get(word.lower(), word) for word in tail.replace(".", " ").replace("_", " ").split()]
    text = " ".join(words)
    return text[:1].upper() + text[1:] if words and words[0].islower() and words[0] not in _ACRONYMS.values() else text


def _basis(verdicts: Sequence[Verdict]) -> str:
    dates = sorted({verdict.checked for verdict in verdicts if verdict.checked})
    checked = "" if not dates else f", rows checked {dates[0]}" + (f" to {dates[-1]}" if dates[-1] != dates[0] else "")
    return f"Required: table (requirements matrix{checked}). Available: as read from the machine or stated."


def _skipped(verdicts: list[Verdict], names: dict[str, str]) -> Fold:
    reasons: dict[str, list[str]] = {}
    for verdict in verdicts:
        reasons.setdefault(verdict.skipped_because or "an earlier requirement", []).append(names[verdict.id])
    items = [Cell(text=f"{', '.join(held)}: waits for {reason}") for reason, held in reasons.items()]
    title = f"{plural(len(verdicts), 'requirement')} not judged, because an earlier link of the chain is broken"
    return Fold(title=title, blocks=(Points(items=tuple(items)),))
