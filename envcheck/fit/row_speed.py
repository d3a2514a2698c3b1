"""The speed to expect of a fit row: the workload it describes, asked of the speed model."""

from __future__ import annotations

import msgspec

from envcheck import hardware
from envcheck.fit import cpus
from envcheck.fit.speed import predict
from envcheck.fit.speed_formats import format_named
from envcheck.fit.speed_shape import shape_from_facts
from envcheck.schema.facts import Unknown
from envcheck.schema.fit import FitRow, Room, SpeedBands
from envcheck.schema.hardware import HardwareRow
from envcheck.schema.model import ModelFacts
from envcheck.schema.speed import Processor, Split, Workload

PROMPT_TOKENS = 512
OUTPUT_TOKENS = 128
"""A question of a page and an answer of a paragraph: what llama-bench measures by default."""
MIB = 2**20


def with_speed(row: FitRow, facts: ModelFacts, room: Room) -> FitRow:
    """The row with its speed, or with the reason among the assumptions where the hardware is not in the tables."""
    if row.memory_mib is None or row.status in ("no", "unknown"):
        return row
    question = _workload(row, facts, room)
    if isinstance(question, str):
        return msgspec.structs.replace(row, assumptions=(*row.assumptions, f"no speed: {question}"))
    found = predict(question)
    if isinstance(found, Unknown):
        return msgspec.structs.replace(row, assumptions=(*row.assumptions, f"no speed: {found.why}"))
    bands = SpeedBands(decode_tps=found.decode_tps, prefill_tps=found.prefill_tps, ttft_ms=found.ttft_ms)
    return msgspec.structs.replace(row, speed=bands)


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
        return "the processor's memory bandwidth is not known"
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
    return cpus.find(room.cpu, threads=room.cores) if room.cpu else None


def _split(row: FitRow) -> Split:
    if row.devices < 2:
        return "none"
    return "tensor" if row.backend == "vllm" else "layer"
