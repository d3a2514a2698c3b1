"""What the project itself demands: pins, bans, variables and whether they still act, memory that stays free."""

from __future__ import annotations

from envcheck.compose._cells import STATUS_WORDS, code, row, table
from envcheck.schema.blocks import Block, Cell, Paragraph, Section
from envcheck.schema.describe import backend_title, gib
from envcheck.schema.fit import FitRow
from envcheck.schema.report import Subject
from envcheck.schema.verdict import Verdict


def critical_section(subject: Subject) -> Section | None:
    """The table of critical settings, then each model against the headroom; None where no policy was given."""
    verdicts = subject.judgement.verdicts
    settings = [v for v in verdicts if v.id.startswith("policy.") and not v.id.startswith("policy.waiver.")]
    clashes = [v for v in verdicts if v.id.startswith(f"{v.backend}.policy.")]
    blocks: list[Block] = []
    if settings or clashes:
        rows = [_setting(verdict, verdicts) for verdict in (*settings, *clashes)]
        heads = ["Setting", "Wanted", "Is", "Status", "Does it act? What to do?"]
        basis = "Wanted: the project's policy. Is: as read or stated. Does it act: table (requirements matrix)."
        blocks.append(table("What the project demands", heads, rows, basis))
    if subject.headroom_gib is not None:
        rows = [cells for fit in subject.fits if (cells := _left(fit, subject)) is not None]
        if rows:
            heads = ["Model", "Backend", "Weights as", "#Left free", f"At least {subject.headroom_gib:g} GiB left"]
            basis = "Calculated: the card's memory for a new process, less what the model is expected to take there."
            blocks.append(table("Headroom per model", heads, rows, basis))
        if any(fit.reserved_mib and fit.status in ("fits", "tight") for fit in subject.fits):
            text = "vLLM takes its share however little a model needs: --gpu-memory-utilization lowers it."
            blocks.append(Paragraph(text=text))
    return Section(id="critical", title="Critical settings", blocks=tuple(blocks)) if blocks else None


def _setting(verdict: Verdict, verdicts: tuple[Verdict, ...]) -> tuple[Cell, ...]:
    mark, word = STATUS_WORDS[verdict.status]
    name = verdict.title if verdict.backend == "machine" else f"{backend_title(verdict.backend)}: {verdict.title}"
    return row(name, code(verdict.expected), code(verdict.actual), Cell(text=word, mark=mark), _acts(verdict, verdicts))


def _acts(verdict: Verdict, verdicts: tuple[Verdict, ...]) -> Cell:
    """What the backends' own rows say about a variable of that name."""
    tail = verdict.id.removeprefix("policy.variable.")
    if tail == verdict.id:
        return Cell(text=verdict.remedy.says if verdict.remedy and verdict.status != "met" else "–")
    found = [v for v in verdicts if v.id.endswith(f".variable.{tail}") and v.id != verdict.id]
    says = [v.says for v in found if v.status in ("warning", "not_met")]
    return Cell(text=" ".join(dict.fromkeys(says)), mark="caution") if says else Cell(text="nothing known against it")


def _left(fit: FitRow, subject: Subject) -> tuple[Cell, ...] | None:
    terms = fit.memory_mib
    if terms is None or fit.status not in ("fits", "tight"):
        return None
    # A backend that takes a share of the card has only that share available; what is left is left of the card.
    rooms = [f.memory_mib.available for f in subject.fits if f.memory_mib is not None and f.devices == fit.devices]
    high = ((fit.interval_mib or {}).get("total") or (0.0, terms.total))[1]
    left, worst = (max(rooms) - max(takes, fit.reserved_mib or 0.0) for takes in (terms.total, high))
    enough = (subject.headroom_gib or 0.0) * 1024
    answer = (
        Cell(text="yes", mark="good")
        if worst >= enough
        else Cell(text="yes, by the prediction itself", mark="caution")
        if left >= enough
        else Cell(text="no", mark="bad")
    )
    text = gib(left) if left >= 0 else f"−{gib(-left)}"
    return row(fit.model, backend_title(fit.backend), code(fit.quant), Cell(text=text, sort=left), answer)
