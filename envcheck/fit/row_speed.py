"""The speed to expect of a fit row: the workload it describes, asked of the speed model."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from envcheck import hardware
from envcheck.fit import cpus
from envcheck.fit.speed import calibrate, predict
from envcheck.fit.speed_formats import format_named
from envcheck.fit.speed_shape import shape_from_facts
from envcheck.schema.facts import Unknown
from envcheck.schema.fit import Band, Calibration, FitRow, Room, SpeedBands
from envcheck.schema.hardware import HardwareRow
from envcheck.schema.model import ModelFacts
from envcheck.schema.speed import Processor, Split, Workload

PROMPT_TOKENS = 512
OUTPUT_TOKENS = 128
"""A question of a page and an answer of a paragraph: what llama-bench measures by default."""
MIB = 2**20
HALF_UNITS = frozenset({"avx512_bf16", "amx_bf16"})
"""Flags of units that multiply bfloat16."""


def with_speed(row: FitRow, facts: ModelFacts, room: Room, calibrations: Sequence[Calibration] = ()) -> FitRow:
    """The row with its speed, or with the reason among the assumptions where the hardware is not in the tables.

    A calibration is used where all of the model is on the kind of device that it was learned on.
    """
    if row.memory_mib is None or row.status in ("no", "unknown"):
        return row
    if facts.role == "encoder":
        return msgspec.structs.replace(row, assumptions=(*row.assumptions, "no speed: an encoder generates no tokens"))
    question = _workload(row, facts, room)
    if isinstance(question, str):
        return msgspec.structs.replace(row, assumptions=(*row.assumptions, f"no speed: {question}"))
    found = predict(question)
    if isinstance(found, Unknown):
        return msgspec.structs.replace(row, assumptions=(*row.assumptions, f"no speed: {found.why}"))
    said = row.assumptions
    if (own := _calibration(row, calibrations)) is not None:
        found = calibrate(found, own.factor, len(own.residuals))
        said = (*said, _learned(own))
        row = msgspec.structs.replace(row, calibration=own)
    bands = _token_by_token(
        SpeedBands(decode_tps=found.decode_tps, prefill_tps=found.prefill_tps, ttft_ms=found.ttft_ms)
    )
    if (processor := question.processor) is not None and processor.measured:
        said = (*said, f"host memory reads and writes {processor.bandwidth_gbs:.0f} GB/s, measured here")
    if processor is not None and processor.assumed:
        said = (*said, processor.basis)
    return msgspec.structs.replace(row, speed=bands, assumptions=said)


def _token_by_token(bands: SpeedBands) -> SpeedBands:
    """No prompt is read slower than its tokens could be decoded one after the other: that is one way to read it."""
    decode, prefill, ttft = bands.decode_tps, bands.prefill_tps, bands.ttft_ms
    if decode is None or prefill is None or ttft is None or prefill.value >= decode.value:
        return bands
    factor = decode.value / prefill.value
    faster = Band(value=decode.value, low=max(prefill.low, decode.low), high=max(prefill.high, decode.high))
    first = Band(value=ttft.value / factor, low=ttft.low / factor, high=ttft.high / factor)
    return SpeedBands(decode_tps=decode, prefill_tps=faster, ttft_ms=first)


def _calibration(row: FitRow, calibrations: Sequence[Calibration]) -> Calibration | None:
    device = "gpu" if row.devices else "cpu"
    return None if row.status == "offload" else next((one for one in calibrations if one.device == device), None)


def _learned(own: Calibration) -> str:
    ratios = sorted(residual.ratio for residual in own.residuals)
    count = len(ratios)
    runs = f"one run of this machine ({ratios[0]:.2f})" if count == 1 else f"{count} runs of this machine"
    spread = "" if count == 1 else f" ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    return f"decode speed times {own.factor:.2f}, measured over predicted in {runs}{spread}"


def _workload(row: FitRow, facts: ModelFacts, room: Room) -> Workload | str:
    memory = row.memory_mib
    stored = format_named(row.quant)
    if memory is None or stored is None:
        return f"the format {row.quant} is not in the speed tables"
    cards = _cards(row, room)
    if isinstance(cards, str):
        return cards
    processor = _processor(room)
    if processor is None and (row.host_mib or not cards):
        return "the processor's memory bandwidth is not known; `envcheck snapshot --level 3 -o FILE` measures it"
    prompt = min(PROMPT_TOKENS, max(row.context // 2, 1))
    weights = memory.weights + row.host_mib
    return Workload(
        shape=shape_from_facts(facts),
        weight_bytes=weights * MIB,
        weight_kind=stored.kind,
        engine=row.backend,
        gpus=cards,
        split=_split(row),
        processor=processor,
        gpu_share=memory.weights / weights if cards and weights else 1.0,
        prompt_tokens=prompt,
        output_tokens=min(OUTPUT_TOKENS, max(row.context - prompt, 1)),
        concurrency=row.concurrency,
        parallel_slots=row.concurrency,
    )


def _cards(row: FitRow, room: Room) -> tuple[HardwareRow, ...] | str:
    used = sorted(room.devices, key=lambda device: -device.available_mib)[: row.devices]
    cards = []
    for device in used:
        found = hardware.find(device.name, round(device.total_mib) if device.kind == "discrete" else None)
        if found is None:
            return f"{device.name} is not in the hardware table"
        cards.append(found)
    return tuple(cards)


def _processor(room: Room) -> Processor | None:
    """The processor with the bandwidth measured here, else its family's nominal one; None where neither is known."""
    found = cpus.find(room.cpu, threads=room.cores) if room.cpu else None
    halves = not HALF_UNITS.isdisjoint(room.cpu_units)
    if found is not None:
        found = msgspec.structs.replace(found, half_units=halves)
    if room.ram_bandwidth_gbs is None:
        return found
    if found is not None:
        measured = "memory bandwidth measured on this machine"
        return msgspec.structs.replace(found, bandwidth_gbs=room.ram_bandwidth_gbs, measured=True, basis=measured)
    if room.cores is None:
        return None
    arithmetic, like = cpus.arithmetic_of_units(room.cpu_units)
    return Processor(
        name=room.cpu or "processor",
        bandwidth_gbs=room.ram_bandwidth_gbs,
        cores=room.cores,
        giga_flops_per_core=arithmetic,
        half_units=halves,
        assumed=True,
        measured=True,
        basis=f"the processor is in no table: {room.cores} cores of {arithmetic:.0f} GFLOP/s assumed, as {like} have",
    )


def _split(row: FitRow) -> Split:
    if row.devices < 2:
        return "none"
    return "tensor" if row.backend == "vllm" else "layer"
