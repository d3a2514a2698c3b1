"""One table per backend: what it requires, what this machine has, and what to do about the difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from envcheck.compose._cells import STATE_WORDS, STATUS_WORDS, row, table
from envcheck.compose.checked import helps_of
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
    helps = helps_of(judgement)
    parts = [_part(name, judgement.backends.get(name), _of(judgement.verdicts, name), helps) for name in names]
    if not parts:
        return None
    says = Paragraph(text=_basis(judgement.verdicts))
    return Section(id="compatibility", title="Backend compatibility", blocks=(says, *parts))


def _of(verdicts: Sequence[Verdict], backend: str) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.backend == backend]


def _part(name: str, state: BackendState | None, verdicts: list[Verdict], helps: Callable[[Verdict], bool]) -> Part:
    names = labels(verdicts)
    title = backend_title(name) + (f": {STATE_WORDS[state.status][1]}" if state else "")
    blocks: list[Block] = []
    if state:
        blocks.append(Note(text=state.why, mark=STATE_WORDS[state.status][0]))
    judged = [verdict for verdict in verdicts if verdict.status != "skipped"]
    if judged:
        order = sorted(judged, key=lambda v: v.status not in _NEEDS_A_LOOK)
        caption = f"Requirements of {backend_title(name)}" if name != "machine" else "What concerns every backend"
        rows = [_row(verdict, names[verdict.id]) for verdict in order]
        blocks.append(table(caption, ["Requirement", "Required", "Available", "Status"], rows))
    blocks += _notes(judged, names, helps)
    skipped = [verdict for verdict in verdicts if verdict.status == "skipped"]
    if skipped:
        blocks.append(_skipped(skipped, names))
    if not blocks:
        blocks.append(Note(text="Nothing is known about what it requires.", mark="unknown"))
    return Part(id=f"backend-{slug(name)}", title=title, blocks=tuple(blocks))


def _row(verdict: Verdict, name: str) -> tuple[Cell, ...]:
    mark, word = _status(verdict)
    return row(name, verdict.expected or "–", verdict.actual or "–", Cell(text=word, mark=mark))


def _status(verdict: Verdict) -> tuple[Mark, str]:
    if verdict.status == "not_met" and verdict.fixed_by_install:
        return "caution", "to be installed"
    if verdict.status == "not_met" and verdict.severity != "blocker":
        return "caution", "not met, not needed" if verdict.severity == "info" else "not met, to note"
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


def _notes(verdicts: list[Verdict], names: dict[str, str], helps: Callable[[Verdict], bool]) -> list[Block]:
    """What each open verdict says, and its way out where it gets the backend further."""
    items = []
    for verdict in verdicts:
        if verdict.status not in _NEEDS_A_LOOK or (verdict.severity == "info" and verdict.status == "unknown"):
            continue
        remedy = verdict.remedy if helps(verdict) else None
        text = f"{names[verdict.id]}: {verdict.says}" + (f" → {remedy.says}" if remedy else "")
        if remedy and remedy.needs_root:
            text += " (needs administrator rights)"
        items.append(Cell(text=text, mark=_status(verdict)[0]))
    return [Points(items=tuple(items))] if items else []


def _skipped(verdicts: list[Verdict], names: dict[str, str]) -> Fold:
    reasons: dict[str, list[str]] = {}
    for verdict in verdicts:
        reasons.setdefault(verdict.skipped_because or "an earlier requirement", []).append(names[verdict.id])
    items = [Cell(text=f"{', '.join(held)}: waits for {reason}") for reason, held in reasons.items()]
    title = f"{plural(len(verdicts), 'requirement')} not judged, because an earlier link of the chain is broken"
    return Fold(title=title, blocks=(Points(items=tuple(items)),))
