"""What several runs of the same engine and model say together: the mean, how well it is known, and the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

from envcheck.compose._cells import number, row, table
from envcheck.compose.statistics import half_width
from envcheck.schema.blocks import Block, Cell, Mark, Part
from envcheck.schema.describe import backend_title
from envcheck.schema.run import Reconciled, Run

Reading = Literal["confirmed", "refuted", "undecided", "no prediction"]
_MARKS: dict[Reading, Mark] = {
    "confirmed": "good", "refuted": "bad", "undecided": "unknown", "no prediction": "skipped",
}  # fmt: skip


def grouped(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs of the same backend and model together, in the order they came."""
    groups: dict[tuple[str, str, bool], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.backend, run.model, bool(run.prompts)), []).append(run)
    return list(groups.values())


def repeats_part(groups: Sequence[Sequence[Run]]) -> Part | None:
    """One row per quantity that at least two runs of a group measured; None where nothing was repeated."""
    rows = [cells for group in groups if len(group) > 1 for cells in _rows(group)]
    if not rows:
        return None
    heads = ["Quantity", "Backend, model", "#Repeats", "#Mean", "#± at 95 %", "Predicted band", "Reading"]
    basis = (
        "Measured; half the width of the 95 % interval of the mean (Student's t). Confirmed: the mean lies in the "
        "band. Refuted: the whole interval lies outside."
    )
    blocks: tuple[Block, ...] = (table("Repeats against predictions", heads, rows, basis),)
    return Part(id="repeats", title="Repeats against predictions", blocks=blocks)


def _rows(group: Sequence[Run]) -> list[tuple[Cell, ...]]:
    found: dict[tuple[str, str], list[Reconciled]] = {}
    for run in group:
        for item in run.reconciled:
            if item.measured is not None:
                found.setdefault((item.quantity, item.unit), []).append(item)
    label = f"{backend_title(group[0].backend)}, {group[0].model}"
    return [_row(name, unit, label, items) for (name, unit), items in found.items() if len(items) > 1]


def _row(name: str, unit: str, label: str, items: list[Reconciled]) -> tuple[Cell, ...]:
    values = [item.measured for item in items if item.measured is not None]
    mean = fmean(values)
    width = half_width(len(values), stdev(values) / mean) if mean else 0.0
    low, high = items[0].predicted_low, items[0].predicted_high
    band = "–" if low is None or high is None else f"{low:.1f}–{high:.1f}"
    word = reading(mean, width, low, high)
    return row(
        f"{name}, {unit}",
        label,
        number(len(values), 0),
        number(mean),
        Cell(text=f"{100 * width:.1f} %", sort=width),
        band,
        Cell(text=word, mark=_MARKS[word]),
    )


def reading(mean: float, width: float, low: float | None, high: float | None) -> Reading:
    """What a mean that is known to ± `width` of itself says about a band."""
    if low is None or high is None:
        return "no prediction"
    if low <= mean <= high:
        return "confirmed"
    return "refuted" if mean * (1 + width) < low or mean * (1 - width) > high else "undecided"
