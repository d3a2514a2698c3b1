"""Ways to put a model on a machine with Transformers: one GPU, several through Accelerate, host memory."""

from __future__ import annotations

from functools import lru_cache

from envcheck.fit.memory_interval import Situation
from envcheck.fit.memory_need import Need, driver_contexts
from envcheck.fit.memory_transformers import REST, Generation, activation_bytes, cache_bytes, state_bytes
from envcheck.fit.memory_types import MIB
from envcheck.schema.facts import Record
from envcheck.schema.fit import Device, Room
from envcheck.schema.model import ModelFacts

PROCESS_MIB = 320.0
"""Host memory of Python with torch and Transformers, beside the model (benchmarks/fit_real_models_2026-11-21.txt)."""
ON_GPU_ONLY = frozenset({"awq", "bnb-4bit", "bnb-int8"})
"""Schemes whose loaders refuse a device map with the processor in it (huggingface/transformers
`quantizers/quantizer_awq.py`, `quantizer_bnb_4bit.py`, `quantizer_bnb_8bit.py`, 2026-11-21)."""
LOADING_MIB = 270.0
"""The same while the weights are converted, before anything was generated (ibid.)."""
LAST_ANSWER = 256
"""Tokens taken as generated at the end of a full context; the rest is prompt."""


class TransformersModel(Record, cache_hash=True, gc=False):
    """One model in one quantization, ready for arithmetic."""

    facts: ModelFacts
    checkpoint: float
    """Bytes of the parameters as loaded."""
    element: float = 2
    quantized: bool = False
    on_gpu_only: bool = False
    """No part of it may be left in host memory."""
    converted_from: float = 0.0
    """Bytes of the published files where they are loaded in another type; 0: loaded as they are."""


class Spread(Record, cache_hash=True, gc=False):
    """Layers over GPUs one after the other (`device_map="auto"`), or all in host memory (no devices)."""

    model: TransformersModel
    devices: tuple[Device, ...]
    available: float
    on_host: float = 0.0
    """MiB of weights that Accelerate leaves in host memory."""

    @property
    def situation(self) -> Situation:
        """Row of the interval table."""
        return "transformers quantized" if self.model.quantized else "transformers as published"

    def need(self, context: int, concurrency: int) -> Need:
        """The peak of a batch of `concurrency` prompts that fill the context."""
        model = self.model
        kv, state, activations = _of_one(model.facts, context, model.element)
        kv, state, compute = kv * concurrency, state * concurrency, activations * concurrency + REST
        if not self.devices:
            # In host memory the mapped files are still there when the last tensor has been converted.
            compute = max(compute, model.converted_from - kv - (PROCESS_MIB - LOADING_MIB) * MIB)
        overhead = driver_contexts(self.devices) or PROCESS_MIB
        return Need(
            weights=model.checkpoint / MIB - self.on_host,
            kv=kv / MIB,
            recurrent_state=state / MIB,
            compute=compute / MIB,
            overhead=overhead,
            host=self.on_host,
        )

    def total(self, context: int, concurrency: int) -> float:
        """The sum of it on the devices."""
        return self.need(context, concurrency).total


@lru_cache(maxsize=256)
def _of_one(facts: ModelFacts, context: int, element: float) -> tuple[float, float, float]:
    """Bytes of cache, recurrent state and activations of one sequence: the same in every quantization."""
    answer = min(LAST_ANSWER, context // 2)
    call = Generation(prompt=context - answer, generated=answer, element=element)
    return cache_bytes(facts, call), state_bytes(facts, call), activation_bytes(facts, call)


@lru_cache(maxsize=64)
def placings(model: TransformersModel, room: Room) -> tuple[Spread, ...]:
    """One GPU, then two, … all of them; host memory where there is no GPU."""
    by_room = sorted(room.devices, key=lambda device: -device.available_mib)
    if not by_room:
        return () if room.ram_mib is None else (Spread(model=model, devices=(), available=room.ram_mib),)
    groups = (tuple(by_room[:count]) for count in range(1, len(by_room) + 1))
    return tuple(Spread(model=model, devices=used, available=_together(used)) for used in groups)


def _together(devices: tuple[Device, ...]) -> float:
    """What layers one after the other can use; unified memory counts once."""
    if any(device.kind != "discrete" for device in devices):
        return max(device.available_mib for device in devices)
    return sum(device.available_mib for device in devices)


def offloaded(model: TransformersModel, room: Room, context: int, concurrency: int) -> Spread | None:
    """As many weights on GPUs as fit beside cache and activations, the rest in host memory; None if that is small."""
    if not room.devices or room.shares_ram or room.ram_mib is None or model.on_gpu_only:
        return None
    devices = tuple(room.devices)
    available = sum(device.available_mib for device in devices)
    everything = Spread(model=model, devices=devices, available=available).need(context, concurrency)
    excess = everything.total - available
    if excess <= 0 or excess > everything.weights or excess + PROCESS_MIB > room.ram_mib:
        return None
    return Spread(model=model, devices=devices, available=available, on_host=excess)
