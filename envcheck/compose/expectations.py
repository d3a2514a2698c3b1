"""How fast it should be, as bands, and how that compares with what was measured."""

from __future__ import annotations

from envcheck.compose._cells import FIT_WORDS, code, number, row, spaced, table
from envcheck.schema.blocks import Band as DrawnBand
from envcheck.schema.blocks import Bands, Block, Cell, Section
from envcheck.schema.describe import backend_title, listed
from envcheck.schema.fit import Band, FitRow
from envcheck.schema.report import Subject
from envcheck.schema.run import Run


def expectations_section(subject: Subject) -> Section | None:
    """Speed per model that fits; None where no fit carries a speed."""
    fits = [
        fit for fit in subject.fits if fit.speed and fit.speed.decode_tps and fit.status in ("fits", "tight", "offload")
    ]
    if not fits:
        return None
    rows = [_row(fit) for fit in fits]
    heads = ["Model", "Backend", "Weights as", "#Decode, tokens/s", "Band", "#Prefill, tokens/s", "#TTFT, ms", "Fits"]
    bases = listed(sorted({fit.basis for fit in fits}))
    basis = (
        f"{bases.capitalize()}; a band covers 8 of 10 measured figures of like machines. TTFT of a prompt of 512 "
        "tokens; what does not fit is left out."
    )
    blocks: list[Block] = [table("Expected speed", heads, rows, basis), _bands(fits, subject)]
    return Section(id="expectations", title="Performance expectations", blocks=tuple(blocks))


def _row(fit: FitRow) -> tuple[Cell, ...]:
    speed = fit.speed
    decode = speed.decode_tps if speed else None
    return row(
        fit.model,
        backend_title(fit.backend),
        code(fit.quant),
        number(decode.value if decode else None),
        _span(decode),
        _banded(speed.prefill_tps if speed else None),
        _banded(speed.ttft_ms if speed else None),
        Cell(text=FIT_WORDS[fit.status][1], mark=FIT_WORDS[fit.status][0]),
    )


def _span(band: Band | None) -> Cell:
    return Cell(text="–") if band is None else Cell(text=f"{_figure(band.low)}–{_figure(band.high)}", sort=band.value)


def _banded(band: Band | None) -> Cell:
    if band is None:
        return Cell(text="–")
    return Cell(text=f"{_figure(band.value)} ({_figure(band.low)}–{_figure(band.high)})", sort=band.value)


def _figure(value: float) -> str:
    return spaced(value) if value >= 20 else f"{value:.1f}"


def _bands(fits: list[FitRow], subject: Subject) -> Bands:
    runs = subject.validation.runs if subject.validation else ()
    drawn = []
    for fit in fits:
        decode = fit.speed.decode_tps if fit.speed else None
        if decode is not None:
            label = f"{fit.model} · {backend_title(fit.backend)} {fit.quant}"
            measured = _measured(fit, runs)
            drawn.append(
                DrawnBand(label=label, low=decode.low, value=decode.value, high=decode.high, measured=measured)
            )
    low, high = min(band.low for band in drawn), max(band.high for band in drawn)
    return Bands(
        title="Expected decode speed, and what was measured",
        unit="tokens/s",
        says=f"Between {_figure(low)} and {_figure(high)} tokens/s, depending on model and backend.",
        bands=tuple(drawn),
    )


def _measured(fit: FitRow, runs: tuple[Run, ...]) -> float | None:
    """The median decode speed of a run of the same backend and model."""
    for run in runs:
        if run.backend == fit.backend and run.model == fit.model:
            speeds = sorted(p.decode_tps for p in run.prompts if p.decode_tps is not None)
            if speeds:
                return speeds[len(speeds) // 2]
    return None
