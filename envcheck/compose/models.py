"""The models to start with, one per backend, and how long it takes to load and to switch them."""

from __future__ import annotations

from statistics import median

from envcheck.compose._cells import code, memory_cell, number, row, table
from envcheck.compose.choices import chosen_fit, usable_backends
from envcheck.compose.service_probes import PORTS
from envcheck.schema.blocks import Block, Cell, Paragraph, Section
from envcheck.schema.describe import backend_title, gib
from envcheck.schema.facts import value_of
from envcheck.schema.fit import FitRow
from envcheck.schema.report import Subject
from envcheck.schema.run import Run


def models_section(subject: Subject) -> Section | None:
    """What a backend would serve first; times only where they were measured. None where nothing fits."""
    chosen = [fit for name in usable_backends(subject) if (fit := chosen_fit(subject, name)) is not None]
    runs = [run for run in (subject.validation.runs if subject.validation else ()) if run.load_ms is not None]
    blocks: list[Block] = []
    if chosen:
        heads = ["Model", "Backend", "Weights as", "#Memory", "#Context", "#Decode, tokens/s", "#Port"]
        basis = (
            "The largest model of the memory table that fits with room. Calculated; ports are the servers' defaults."
        )
        blocks.append(table("Models to start with", heads, [_chosen(fit) for fit in chosen], basis))
    if runs:
        blocks.append(_switching(runs))
    elif blocks:
        text = (
            "Load and switch times: not measured. With --cycles 3, envcheck validate loads and unloads the model three "
            "times more, times it, and says whether memory is lost."
        )
        blocks.append(Paragraph(text=text))
    if len(chosen) > 1:
        gpus = value_of(subject.snapshot.gpus)
        blocks.append(Paragraph(text=_together(chosen, len(gpus) if gpus else 1)))
    return Section(id="models", title="Models and switching", blocks=tuple(blocks)) if blocks else None


def _chosen(fit: FitRow) -> tuple[Cell, ...]:
    decode = fit.speed.decode_tps if fit.speed else None
    speed = Cell(text=f"{decode.low:.0f}–{decode.high:.0f}", sort=decode.value) if decode else Cell(text="–")
    port = PORTS.get(fit.backend)
    return row(
        fit.model,
        backend_title(fit.backend),
        code(fit.quant),
        memory_cell(fit),
        number(fit.context, 0),
        speed,
        Cell(text=str(port), sort=float(port)) if port else Cell(text="–"),
    )


def _switching(runs: list[Run]) -> Block:
    """Times of the runs; a switch is one model's unloading and the other's loading, here of the same model."""
    rows = []
    for run in runs:
        loads = [ms for ms in (run.load_ms, *(c.load_ms for c in run.cycles)) if ms is not None]
        unloads = [ms for ms in (run.unload_ms, *(c.unload_ms for c in run.cycles)) if ms is not None]
        load, unload = median(loads) / 1000, median(unloads) / 1000 if unloads else None
        switch = None if unload is None else load + unload
        cells = (number(load, 2), number(unload, 2), number(switch, 2), number(len(loads), 0))
        rows.append(row(run.model, backend_title(run.backend), *cells))
    heads = ["Model", "Backend", "#Load, s", "#Unload, s", "#Switch, s", "#Times loaded"]
    basis = "Measured; medians where it was loaded more than once. A switch is an unload and a load."
    return table("Loading and switching", heads, rows, basis)


def _together(chosen: list[FitRow], devices: int) -> str:
    """Whether two of these servers could hold their models at once, from the two that take least."""
    needs = sorted(fit.reserved_mib or (fit.memory_mib.total if fit.memory_mib else 0.0) for fit in chosen)
    each = max(fit.memory_mib.available / max(fit.devices, 1) for fit in chosen if fit.memory_mib)
    room = each * devices
    both = needs[0] + needs[1]
    if both <= room:
        return f"Two at a time are possible: the two that take least need {gib(both)} of {gib(room)}."
    return (
        f"One at a time: even the two that take least would need {gib(both)}, {gib(room)} are available. Changing the "
        "model means unloading one and loading the other."
    )
