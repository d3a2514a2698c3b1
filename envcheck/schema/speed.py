"""Speed of a model on hardware: what is asked (`Workload`), and the answer as a band (`SpeedBand`)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from envcheck.schema.facts import Record
from envcheck.schema.hardware import HardwareRow

Split = Literal["none", "layer", "tensor"]
WeightKind = Literal["f16", "int8", "int4", "low_bit", "codebook"]
"""How weights are unpacked: 16 bits or more; 8 bits; 3 to 6 bits in blocks; 1 or 2 bits; codebooks (IQ, TQ)."""


class ModelShape(Record):
    """The few numbers of an architecture that speed depends on. Parameters are counts, cache sizes bytes at 16 bits."""

    params: float
    active_params: float
    """Parameters one token passes through; equal to `params` for a dense model."""
    layers: float
    unread_params: float = 0.0
    """Embedding rows that decoding looks up instead of reading (untied input embedding, per-layer embeddings)."""
    kv_bytes_per_token: float = 0.0
    """Keys and values of one token over all layers that keep the whole context."""
    kv_local_bytes_per_token: float = 0.0
    """The same for layers with a sliding window."""
    window: int = 0
    width: float = 0.0
    """Width of all query heads of one layer together."""
    attention_layers: float = 0.0
    """Layers whose queries look at the whole context."""
    local_layers: float = 0.0
    """Layers whose queries look at the window."""

    @property
    def is_moe(self) -> bool:
        """True when a token passes through part of the weights only."""
        return self.active_params < 0.9 * self.params

    def attention_span(self, context: float) -> float:
        """Tokens that one query looks at, summed over all layers."""
        return self.attention_layers * context + self.local_layers * min(context, self.window or context)

    def kv_bytes(self, depth: float) -> float:
        """Bytes of keys and values that one decoded token reads at this depth."""
        return self.kv_bytes_per_token * depth + self.kv_local_bytes_per_token * min(depth, self.window or depth)


class Processor(Record):
    """The CPU as decoding sees it."""

    name: str
    bandwidth_gbs: float
    """Memory bandwidth in 10^9 bytes per second: nominal (channels x transfer rate) or measured."""
    cores: int
    """Physical cores in use, or the threads that are set if fewer."""
    giga_flops_per_core: float
    measured: bool = False
    basis: str = ""


class Workload(Record):
    """One question about speed. Bytes are bytes, not MiB; `depth`: what the cache holds before the first new token."""

    shape: ModelShape
    weight_bytes: float
    """All weights as stored on disk or in memory."""
    weight_kind: WeightKind
    engine: str
    """"llama.cpp", "ollama", "vllm", "transformers", … as people write it."""
    backend: str | None = None
    """"CUDA", "ROCm", "Vulkan", "Metal", "SYCL", "CPU"; None: what the GPU's vendor implies."""
    gpus: tuple[HardwareRow, ...] = ()
    """One entry per GPU in use; empty for the CPU alone."""
    gpu_bandwidth_gbs: float | None = None
    """Measured or computed from bus width and clock; overrides the table for every GPU."""
    split: Split = "none"
    processor: Processor | None = None
    gpu_share: float = 1.0
    """Share of the weight bytes on the GPUs; the CPU reads the rest (partial offload, experts on the host)."""
    weak_host: bool = False
    """The GPU hangs on a single-board computer or a PCIe x1 slot: launches and transfers take longer."""
    kv_bytes_per_element: float = 2.0
    flash_attention: bool | None = None
    """None: what the engine does by default."""
    depth: int = 0
    prompt_tokens: int = 512
    output_tokens: int = 128
    concurrency: int = 1
    parallel_slots: int | None = None
    """Requests the server works on at a time; None: the engine's default."""


class Band(Record):
    """A predicted value with the 10th and 90th percentile of what machines like this one measured."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Band:
        """The same band, times a factor."""
        return Band(value=self.value * factor, low=self.low * factor, high=self.high * factor)


class SpeedBand(Record):
    """Predicted speed: tokens per second of one stream and of all streams, and milliseconds to the first token."""

    decode_tps: Band
    """One stream, after the first token."""
    throughput_tps: Band
    """Output tokens of all streams together, prompts included in the time."""
    basis: str
    prefill_tps: Band | None = None
    ttft_ms: Band | None = None
    assumptions: tuple[str, ...] = ()


class SpeedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a batch: what was known before a run. Names follow llama-bench and the usual benchmark tables."""

    metric: Literal["decode_tps", "prefill_tps", "ttft_ms", "tpot_ms", "output_throughput"] = "decode_tps"
    engine: str | None = None
    backend: str | None = None
    run_device: str | None = None
    """"gpu", "cpu", or "hybrid" (part of the weights in system memory)."""
    hardware_name: str | None = None
    hardware_memory_gib: float | None = None
    gpu: str | None = None
    n_gpus: int | None = None
    cpu: str | None = None
    ram: str | None = None
    model: str | None = None
    model_file: str | None = None
    params_b: float | None = None
    active_params_b: float | None = None
    quant: str | None = None
    size_gib: float | None = None
    settings: dict[str, Any] | None = None
    prompt_tokens: int | None = None
    n_gen: int | None = None
    depth: int | None = None
    concurrency: int | None = None
