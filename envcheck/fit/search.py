"""Which model, which quantization, how much context: many fit rows made into one ranked answer, and presets.

Nothing here invents a score: rows are ordered by facts (parameters, bits per parameter, tokens) and a person chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from envcheck.fit.fitting import BACKENDS, GGUF_BACKENDS, fit, usual_quant
from envcheck.fit.memory_checkpoint import bits_per_parameter
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record
from envcheck.schema.fit import FitRow, Room
from envcheck.schema.model import ModelFacts

GGUF_LADDER = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
"""GGUF quantizations from the most to the least faithful; 16 bit comes first where it is asked for."""
STORED_LADDER = ("bf16", "fp8", "gptq-int8", "awq", "gptq-int4")
"""Checkpoint schemes from the most to the least faithful; cards too old for AWQ's kernels have GPTQ's."""
FOUR_BIT = {"llama.cpp": ("Q4_K_M",), "ollama": ("Q4_K_M",), "vllm": ("awq", "gptq-int4"), "transformers":
            ("awq", "gptq-int4")}  # fmt: skip
"""What is usually run in four bits, the usual first."""
MOST_OF_FOUR_BITS = 5.0
"""Bits of a weight, scales included, below which a format counts as one of four bits."""
LEAST_BITS = 4.2
"""Of a model that is asked for by nothing but its size: with fewer, answers get worse faster than files get smaller
(perplexities in https://github.com/ggml-org/llama.cpp/blob/master/tools/quantize/README.md)."""
RUNS = frozenset({"fits", "tight"})
PRESET_CONTEXT = 8192
SMALL_CONTEXT = 4096
BALANCED_SEQUENCES = 4
MOST_SEQUENCES = {"llama.cpp": 16, "ollama": 8, "transformers": 8, "vllm": 256}
"""Sequences a preset asks for at most: what each server is commonly run with, not a limit of the backend."""

PresetName = Literal["balanced", "performance", "memory_optimized"]
PRESETS: tuple[PresetName, ...] = ("balanced", "performance", "memory_optimized")


class Preset(Record):
    """Settings for this machine and what they will need."""

    name: PresetName
    context: int
    sequences: int
    row: FitRow


def ladder(backend: str, model: ModelFacts) -> tuple[str, ...]:
    """Quantizations to try in a backend, best first: no wider than what the model's publisher has."""
    if backend in GGUF_BACKENDS:
        return GGUF_LADDER
    usual = usual_quant(model, backend)
    return (usual, *(quant for quant in STORED_LADDER if bits_per_parameter(quant) < bits_per_parameter(usual)))


def best_quant(
    models: Sequence[ModelFacts], backends: Sequence[str], context: int, concurrency: int, room: Room
) -> tuple[FitRow, ...]:
    """For each model and backend the most faithful quantization that fits; where none does, the smallest one's row."""
    rows = []
    for model in models:
        for backend in backends or BACKENDS:
            rows.append(_first_that_runs(model, backend, context, concurrency, room))  # noqa: PERF401
    return tuple(sorted(rows, key=lambda row: (row.status not in RUNS, row.model, -_bits(row))))


def _first_that_runs(
    model: ModelFacts, backend: str, context: int, concurrency: int, room: Room, least_bits: float = 0.0
) -> FitRow:
    *better, smallest = [quant for quant in ladder(backend, model) if bits_per_parameter(quant) >= least_bits]
    for quant in better:
        row = fit(model, backend, quant, _within(model, context), concurrency, room)
        if row.status in RUNS or row.status == "unknown":
            return row
    return fit(model, backend, smallest, _within(model, context), concurrency, room)


def largest(
    models: Sequence[ModelFacts],
    backends: Sequence[str],
    quants: Sequence[str],
    context: int,
    concurrency: int,
    room: Room,
    count: int = 10,
) -> tuple[FitRow, ...]:
    """The models with most parameters that fit, each in its most faithful quantization, largest first."""
    found = []
    wanted = [model for model in models if not model.max_context or model.max_context >= context]
    for model in sorted(wanted, key=lambda model: -model.published_parameters):
        rows = _candidates(model, backends, quants, context, concurrency, room)
        running = [row for row in rows if row.status in RUNS]
        found += running[:1] if not backends else running
        if len(found) >= count:
            break
    return tuple(sorted(found, key=lambda row: (-(row.params_b or 0.0), -_bits(row)))[:count])


def _candidates(
    model: ModelFacts, backends: Sequence[str], quants: Sequence[str], context: int, concurrency: int, room: Room
) -> list[FitRow]:
    rows = []
    for backend in backends or BACKENDS:
        if not quants:
            rows.append(_first_that_runs(model, backend, context, concurrency, room, LEAST_BITS))
        for quant in quants:
            try:
                rows.append(fit(model, backend, quant, context, concurrency, room))
            except InputError:
                continue  # a quantization of another backend's kind
    return sorted(rows, key=lambda row: -_bits(row))


def longest_context(
    models: Sequence[ModelFacts], backends: Sequence[str], quants: Sequence[str], concurrency: int, room: Room
) -> tuple[FitRow, ...]:
    """Each model at the longest context that fits, longest first; rows that fit no context at all come last."""
    rows = []
    for model in models:
        for backend in backends or BACKENDS:
            for quant in quants or (four_bits(model, backend, _within(model, 256), room).quant,):
                try:
                    short = fit(model, backend, quant, _within(model, 256), concurrency, room)
                except InputError:
                    continue
                reach = short.max_context
                rows.append(fit(model, backend, quant, reach, concurrency, room) if reach else short)
    return tuple(sorted(rows, key=lambda row: (row.status not in RUNS, -row.context)))


def four_bits(model: ModelFacts, backend: str, context: int, room: Room) -> FitRow:
    """One sequence in the four-bit format that runs here, else in the usual one; as published where that has as few."""
    usual = usual_quant(model, backend)
    formats = (usual,) if bits_per_parameter(usual) < MOST_OF_FOUR_BITS else FOUR_BIT[backend]
    rows = [fit(model, backend, quant, context, 1, room) for quant in formats]
    return next((row for row in rows if row.status in RUNS), rows[0])


def _within(model: ModelFacts, context: int) -> int:
    return min(context, model.max_context) if model.max_context else context


def _bits(row: FitRow) -> float:
    return bits_per_parameter(row.quant)


def preset(name: str, model: ModelFacts, backend: str, quant: str | None, room: Room) -> Preset:
    """Context and sequences for this machine, with the memory they will take.

    balanced: 8192 tokens and up to four sequences. performance: as many sequences of 8192 tokens as fit.
    memory_optimized: one sequence of 4096 tokens. Each is cut to what the model was trained for and to what fits.
    """
    if name not in PRESETS:
        raise InputError(f"Unknown preset {name!r}: choose one of {', '.join(PRESETS)}.")
    context = _within(model, SMALL_CONTEXT if name == "memory_optimized" else PRESET_CONTEXT)
    single = fit(model, backend, quant, context, 1, room)
    if single.max_context is not None and single.max_context < context:
        context = single.max_context
        single = fit(model, backend, quant, context, 1, room)
    most = min(single.max_concurrency or 1, MOST_SEQUENCES[backend])
    sequences = {"balanced": min(most, BALANCED_SEQUENCES), "performance": most, "memory_optimized": 1}[name]
    chosen: PresetName = (
        "balanced" if name == "balanced" else "performance" if name == "performance" else "memory_optimized"
    )
    row = single if sequences == 1 else fit(model, backend, quant, context, sequences, room)
    return Preset(name=chosen, context=context, sequences=sequences, row=row)
