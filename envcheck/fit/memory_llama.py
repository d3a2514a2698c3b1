"""Memory of a llama.cpp process on its GPUs, term by term."""

from __future__ import annotations

from functools import lru_cache

from envcheck.fit.memory_gguf_weights import GgufWeights
from envcheck.fit.memory_hparams import Hparams
from envcheck.fit.memory_llama_cache import cache_bytes, state_bytes
from envcheck.fit.memory_llama_compute import Offload, compute_bytes, copied
from envcheck.fit.memory_llama_settings import LlamaSettings
from envcheck.schema.facts import Record


class LlamaMemory(Record):
    """Bytes on all GPUs together, and what stays on the host."""

    weights: float
    cache: float
    state: float
    compute: float
    host_weights: float
    host_cache: float

    @property
    def total(self) -> float:
        """What the GPUs hold; the driver's own context is not in it."""
        return self.weights + self.cache + self.state + self.compute


def offload_of(hparams: Hparams, settings: LlamaSettings) -> Offload:
    """Which layers these settings put on GPUs."""
    return offload(hparams.layer_count, settings.gpu_layers, settings.output_first)


@lru_cache(maxsize=1024)
def offload(count: int, gpu_layers: int | None, output_first: bool) -> Offload:
    """Which of `count` layers `-ngl` puts on GPUs: the last ones; the output layer first or last, by the build."""
    asked = count + 1 if gpu_layers is None else min(gpu_layers, count + 1)
    if output_first:
        return Offload(layers=max(asked - 1, 0), output=asked > 0, total=count)
    return Offload(layers=min(asked, count), output=asked > count, total=count)


def memory(hparams: Hparams, weights: GgufWeights, settings: LlamaSettings) -> LlamaMemory:
    """What a process with these settings allocates. Raises KeyError for an unknown cache type."""
    placed = offload_of(hparams, settings)
    first = hparams.layer_count - placed.layers
    caches, states = cache_bytes(hparams, settings), state_bytes(hparams, settings)
    on_gpu = 0 if settings.cache_on_host else 1
    return LlamaMemory(
        weights=sum(weights.layers[first:]) + (weights.output if placed.output else 0.0),
        cache=sum(caches[first:]) * on_gpu,
        state=sum(states[first:]) * on_gpu,
        compute=compute_bytes(hparams, settings, placed, copied(hparams, weights, placed)),
        host_weights=sum(weights.layers[:first]) + weights.embedding,
        host_cache=sum(caches[:first]) if on_gpu else sum(caches),
    )
