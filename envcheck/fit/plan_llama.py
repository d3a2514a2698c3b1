"""Ways to put a model on a machine with llama.cpp and Ollama: one GPU, several, a part of the layers, the processor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import msgspec

from envcheck.fit.memory_gguf_weights import GgufWeights
from envcheck.fit.memory_hparams import Hparams
from envcheck.fit.memory_interval import Situation
from envcheck.fit.memory_llama import offload_of
from envcheck.fit.memory_llama_cache import Totals, tails, total_cache_bytes, total_state_bytes
from envcheck.fit.memory_llama_compute import Offload, compute_bytes
from envcheck.fit.memory_llama_settings import LlamaSettings
from envcheck.fit.memory_need import Need, driver_contexts, largest
from envcheck.fit.memory_types import MIB
from envcheck.schema.facts import Record
from envcheck.schema.fit import Device, Room

PROCESS_MIB = 54.0
"""Host memory of a llama.cpp server beside the model and its buffers (benchmarks/fit_real_models_2026-11-21.txt)."""


class LlamaModel(Record, cache_hash=True, gc=False):
    """One model in one quantization, ready for arithmetic."""

    hparams: Hparams
    weights: GgufWeights
    weight_tails: tuple[float, ...]
    """Bytes of the last n layers."""
    settings: LlamaSettings
    """Everything but context, sequences and layers."""
    everything: Offload
    """All layers on GPUs."""
    expert_heads: tuple[float, ...] = ()
    """Bytes of the first n layers' routed experts."""
    projector: float = 0.0
    """Bytes of the image encoder's file (mmproj, 16 bit), loaded beside the model."""

    @property
    def tails(self) -> tuple[Totals, ...]:
        """Caches of the last n layers."""
        return tails(self.hparams)


class Whole(Record, cache_hash=True, gc=False):
    """All layers on GPUs, or all in host memory (no devices)."""

    model: LlamaModel
    devices: tuple[Device, ...]
    available: float

    @property
    def situation(self) -> Situation:
        """Row of the interval table."""
        return "llama.cpp one GPU" if len(self.devices) < 2 else "llama.cpp partial or several GPUs"

    @property
    def gpu_layers(self) -> int:
        """As `-ngl` counts."""
        return self.model.hparams.layer_count + 1 if self.devices else 0

    def need(self, context: int, concurrency: int) -> Need:
        """What `concurrency` sequences of `context` tokens need."""
        model = self.model
        settings = started(model.settings, context, concurrency, len(self.devices))
        sums = model.tails[-1]
        weights = model.weight_tails[-1] + model.weights.output + model.projector
        overhead = driver_contexts(self.devices)
        if not self.devices:
            weights, overhead = model.weights.total + model.projector, PROCESS_MIB
        return Need(
            weights=weights / MIB,
            kv=total_cache_bytes(sums, settings) / MIB,
            recurrent_state=total_state_bytes(sums, settings) / MIB,
            compute=compute_bytes(model.hparams, model.weights, settings, model.everything) / MIB,
            overhead=overhead,
        )


class Split(Record, cache_hash=True, gc=False):
    """The last layers on GPUs, the first in host memory."""

    model: LlamaModel
    devices: tuple[Device, ...]
    available: float
    gpu_layers: int

    @property
    def situation(self) -> Situation:
        """Row of the interval table."""
        return "llama.cpp partial or several GPUs"

    def need(self, context: int, concurrency: int) -> Need:
        """What `concurrency` sequences of `context` tokens need on the GPUs; the rest is in `host`."""
        model = self.model
        settings = started(model.settings, context, concurrency, len(self.devices), self.gpu_layers)
        offload = offload_of(model.hparams, settings)
        by_layers = model.tails
        sums, all_sums = by_layers[offload.layers], by_layers[-1]
        weights = model.weight_tails[offload.layers] + (model.weights.output if offload.output else 0.0)
        weights += model.projector
        cache = total_cache_bytes(sums, settings)
        host = model.weight_tails[-1] - model.weight_tails[offload.layers] + model.weights.embedding
        host += total_cache_bytes(all_sums, settings) - cache
        return Need(
            weights=weights / MIB,
            kv=cache / MIB,
            recurrent_state=total_state_bytes(sums, settings) / MIB,
            compute=compute_bytes(model.hparams, model.weights, settings, offload) / MIB,
            overhead=driver_contexts(self.devices),
            host=host / MIB + PROCESS_MIB,
        )


class ExpertsOnHost(Record, cache_hash=True, gc=False):
    """All layers on GPUs but for the routed experts of the first ones, which stay in host memory (`--n-cpu-moe`)."""

    model: LlamaModel
    devices: tuple[Device, ...]
    available: float
    host_layers: int

    @property
    def situation(self) -> Situation:
        """Row of the interval table."""
        return "llama.cpp partial or several GPUs"

    @property
    def gpu_layers(self) -> int:
        """As `-ngl` counts."""
        return self.model.hparams.layer_count + 1

    def need(self, context: int, concurrency: int) -> Need:
        """What `concurrency` sequences of `context` tokens need on the GPUs; the experts are in `host`."""
        whole = Whole(model=self.model, devices=self.devices, available=self.available).need(context, concurrency)
        heads = self.model.expert_heads
        away = heads[self.host_layers] / MIB
        # A large batch copies one projection's experts over to compute them there.
        copied = heads[-1] / self.model.hparams.layer_count / 3 / MIB if self.host_layers else 0.0
        host = away + self.model.weights.embedding / MIB + PROCESS_MIB
        return msgspec.structs.replace(
            whole, weights=whole.weights - away, compute=whole.compute + copied, host=host if self.host_layers else 0.0
        )


def started(
    settings: LlamaSettings, context: int, concurrency: int, devices: int, gpu_layers: int | None = None
) -> LlamaSettings:
    """The settings of a server with `concurrency` slots of `context` tokens."""
    return msgspec.structs.replace(
        settings,
        context=context * concurrency,
        sequences=concurrency,
        unified=concurrency == 1,
        devices=devices or 1,
        pipelined=devices > 1,
        gpu_layers=gpu_layers,
    )


def ready(hparams: Hparams, weights: GgufWeights, settings: LlamaSettings, projector: float = 0.0) -> LlamaModel:
    """A model with its sums made."""
    return LlamaModel(
        hparams=hparams,
        weights=weights,
        weight_tails=tuple(accumulate(reversed(weights.layers), initial=0.0)),
        expert_heads=tuple(accumulate(weights.experts, initial=0.0)),
        projector=projector,
        settings=settings,
        everything=offload_of(hparams, settings),
    )


def whole(model: LlamaModel, room: Room) -> Iterator[Whole]:
    """One GPU, then two, … all of them; the processor where there is no GPU."""
    by_room = sorted(room.devices, key=lambda device: -device.available_mib)
    for count in range(1, len(by_room) + 1):
        used = tuple(by_room[:count])
        yield Whole(model=model, devices=used, available=_together(used))
    if not by_room and room.ram_mib is not None:
        yield Whole(model=model, devices=(), available=room.ram_mib)


def _together(devices: tuple[Device, ...]) -> float:
    """What a layer split can use: layers follow free memory, so nearly all of it; unified memory counts once."""
    if any(device.kind != "discrete" for device in devices):
        return max(device.available_mib for device in devices)
    return sum(device.available_mib for device in devices)


def split(model: LlamaModel, room: Room, context: int, concurrency: int) -> Split | None:
    """The most layers the GPUs hold; None when memory is shared. Whether the host holds the rest is not asked here."""
    if not room.devices or room.shares_ram or room.ram_mib is None:
        return None
    devices = tuple(room.devices)
    available = _together(devices)

    def placed(layers: int) -> Split:
        return Split(model=model, devices=devices, available=available, gpu_layers=layers)

    count = model.hparams.layer_count
    layers = largest(lambda n: placed(n).need(context, concurrency).total, available, 0, count, 1)
    return None if layers is None else placed(layers)


def experts_on_host(model: LlamaModel, room: Room, context: int, concurrency: int) -> ExpertsOnHost | None:
    """The fewest layers whose experts must stay in host memory; None where that does not do, or without experts.

    Whether the host holds them is not asked here.
    """
    if not model.weights.experts or not room.devices or room.shares_ram or room.ram_mib is None:
        return None
    devices, count = tuple(room.devices), model.hparams.layer_count
    available = _together(devices)

    def placed(on_gpu: int) -> ExpertsOnHost:
        return ExpertsOnHost(model=model, devices=devices, available=available, host_layers=count - on_gpu)

    on_gpu = largest(lambda n: placed(n).need(context, concurrency).total, available, 0, count - 1, 1)
    return None if on_gpu is None else placed(on_gpu)
