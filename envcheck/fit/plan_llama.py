"""Ways to put a model on a machine with llama.cpp and Ollama: one GPU, several, a part of the layers, the processor."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import msgspec

from envcheck.fit.memory_gguf_weights import GgufWeights
from envcheck.fit.memory_hparams import Hparams
from envcheck.fit.memory_interval import Situation
from envcheck.fit.memory_llama import offload
from envcheck.fit.memory_llama_cache import Totals, tails, total_cache_bytes, total_state_bytes
from envcheck.fit.memory_llama_compute import Copied, Offload, compute_bytes, expert_tensor
from envcheck.fit.memory_llama_settings import LlamaSettings
from envcheck.fit.memory_need import Need, driver_contexts, largest
from envcheck.fit.memory_types import MIB
from envcheck.schema.facts import Record
from envcheck.schema.fit import Device, Room

PROCESS_MIB = 54.0
"""Host memory of a llama.cpp server beside the model and its buffers (benchmarks/fit_real_models_2026-11-21.txt)."""


class LlamaModel(Record, eq=False, gc=False):
    """One model in one quantization, ready for arithmetic; caches know it by its identity."""

    hparams: Hparams
    weights: GgufWeights
    weight_tails: tuple[float, ...]
    """Bytes of the last n layers."""
    tails: tuple[Totals, ...]
    """Caches of the last n layers."""
    settings: LlamaSettings
    """Everything but context, sequences and layers."""
    expert_tensor: float = 0.0
    """Bytes of all experts of one projection of a layer."""
    expert_heads: tuple[float, ...] = ()
    """Bytes of the first n layers' routed experts."""
    projector: float = 0.0
    """Bytes of the image encoder's file (mmproj, 16 bit), loaded beside the model."""

    @property
    def all_weights(self) -> float:
        """Bytes on GPUs with all layers there."""
        return self.weight_tails[-1] + self.weights.output + self.projector

    def on_gpus(self, offload: Offload, settings: LlamaSettings, overhead: float, host: float = 0.0) -> Need:
        """What so much of the model needs on GPUs; MiB beside it, and in host memory, as given."""
        sums = self.tails[offload.layers]
        weights = self.weight_tails[offload.layers] + (self.weights.output if offload.output else 0.0) + self.projector
        copied = Copied(
            output=0.0 if offload.output else self.weights.output,
            experts=self.expert_tensor if offload.partial else 0.0,
        )
        return Need(
            weights=weights / MIB,
            kv=total_cache_bytes(sums, settings) / MIB,
            recurrent_state=total_state_bytes(sums, settings) / MIB,
            compute=compute_bytes(self.hparams, settings, offload, copied) / MIB,
            overhead=overhead,
            host=host,
        )


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
        kv, state, compute = _beside_weights(model.hparams, model.settings, context, concurrency, len(self.devices))
        return Need(
            weights=(model.all_weights if self.devices else model.weights.total + model.projector) / MIB,
            kv=kv,
            recurrent_state=state,
            compute=compute,
            overhead=driver_contexts(self.devices) if self.devices else PROCESS_MIB,
        )

    def total(self, context: int, concurrency: int) -> float:
        """The sum of it on the devices."""
        return self.need(context, concurrency).total


@lru_cache(maxsize=512)
def _beside_weights(
    hparams: Hparams, settings: LlamaSettings, context: int, concurrency: int, devices: int
) -> tuple[float, float, float]:
    """Caches, recurrent state and compute buffers of the whole model, MiB: the same in every quantization."""
    sums = tails(hparams, settings.type_k, settings.type_v)[-1]
    begun = started(settings, context, concurrency, devices)
    everything = offload(hparams.layer_count, None, settings.output_first)
    return (
        total_cache_bytes(sums, begun) / MIB,
        total_state_bytes(sums, begun) / MIB,
        compute_bytes(hparams, begun, everything) / MIB,
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
        settings = started(model.settings, context, concurrency, len(self.devices))
        placed = offload(model.hparams.layer_count, self.gpu_layers, settings.output_first)
        here, everywhere = model.tails[placed.layers], model.tails[-1]
        host = model.weight_tails[-1] - model.weight_tails[placed.layers] + model.weights.embedding
        host += total_cache_bytes(everywhere, settings) - total_cache_bytes(here, settings)
        return model.on_gpus(placed, settings, driver_contexts(self.devices), host / MIB + PROCESS_MIB)

    def total(self, context: int, concurrency: int) -> float:
        """The sum of it on the GPUs."""
        model = self.model
        settings = started(model.settings, context, concurrency, len(self.devices))
        placed = offload(model.hparams.layer_count, self.gpu_layers, settings.output_first)
        return model.on_gpus(placed, settings, driver_contexts(self.devices)).total


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
        whole = Whole(model=self.model, devices=self.devices, available=self.available)
        return self.out_of(whole.need(context, concurrency))

    def total(self, context: int, concurrency: int) -> float:
        """The sum of it on the devices."""
        return self.need(context, concurrency).total

    def out_of(self, whole: Need) -> Need:
        """The same, from what the model needs with all its experts on the GPUs."""
        heads = self.model.expert_heads
        away = heads[self.host_layers] / MIB
        # A large batch copies one projection's experts over to compute them there.
        copied = heads[-1] / self.model.hparams.layer_count / 3 / MIB if self.host_layers else 0.0
        host = away + self.model.weights.embedding / MIB + PROCESS_MIB
        return msgspec.structs.replace(
            whole, weights=whole.weights - away, compute=whole.compute + copied, host=host if self.host_layers else 0.0
        )


def started(settings: LlamaSettings, context: int, concurrency: int, devices: int) -> LlamaSettings:
    """The settings of a server with `concurrency` slots of `context` tokens."""
    return msgspec.structs.replace(
        settings,
        context=context * concurrency,
        sequences=concurrency,
        unified=concurrency == 1,
        devices=devices or 1,
        pipelined=devices > 1,
    )


def ready(hparams: Hparams, weights: GgufWeights, settings: LlamaSettings, projector: float = 0.0) -> LlamaModel:
    """A model with its sums made."""
    return LlamaModel(
        hparams=hparams,
        weights=weights,
        weight_tails=tuple(accumulate(reversed(weights.layers), initial=0.0)),
        expert_tensor=expert_tensor(weights) if hparams.experts else 0.0,
        tails=tails(hparams, settings.type_k, settings.type_v),
        expert_heads=tuple(accumulate(weights.experts, initial=0.0)),
        projector=projector,
        settings=settings,
    )


@lru_cache(maxsize=64)
def whole(model: LlamaModel, room: Room) -> tuple[Whole, ...]:
    """One GPU, then two, … all of them; the processor where there is no GPU."""
    by_room = sorted(room.devices, key=lambda device: -device.available_mib)
    if not by_room:
        return () if room.ram_mib is None else (Whole(model=model, devices=(), available=room.ram_mib),)
    groups = (tuple(by_room[:count]) for count in range(1, len(by_room) + 1))
    return tuple(Whole(model=model, devices=used, available=_together(used)) for used in groups)


def _together(devices: tuple[Device, ...]) -> float:
    """What a layer split can use: layers follow free memory, so nearly all of it; unified memory counts once."""
    if any(device.kind != "discrete" for device in devices):
        return max(device.available_mib for device in devices)
    return sum(device.available_mib for device in devices)


def split(model: LlamaModel, room: Room, context: int, concurrency: int) -> Split | None:
    """The most layers the GPUs hold; None when memory is shared. Whether the host holds the rest is not asked here."""
    if not room.devices or room.shares_ram or room.ram_mib is None:
        return None
    available, count = _together(room.devices), model.hparams.layer_count
    settings = started(model.settings, context, concurrency, len(room.devices))
    overhead = driver_contexts(room.devices)

    def needed(layers: int) -> float:
        return model.on_gpus(offload(count, layers, settings.output_first), settings, overhead).total

    layers = largest(needed, available, 0, count, 1)
    return None if layers is None else Split(model=model, devices=room.devices, available=available, gpu_layers=layers)


def experts_on_host(model: LlamaModel, room: Room, context: int, concurrency: int) -> ExpertsOnHost | None:
    """The fewest layers whose experts must stay in host memory; None where that does not do, or without experts.

    Whether the host holds them is not asked here.
    """
    if not model.weights.experts or not room.devices or room.shares_ram or room.ram_mib is None:
        return None
    available, count = _together(room.devices), model.hparams.layer_count
    everything = Whole(model=model, devices=room.devices, available=available).need(context, concurrency)

    def placed(on_gpu: int) -> ExpertsOnHost:
        return ExpertsOnHost(model=model, devices=room.devices, available=available, host_layers=count - on_gpu)

    on_gpu = largest(lambda n: placed(n).out_of(everything).total, available, 0, count - 1, 1)
    return None if on_gpu is None else placed(on_gpu)
