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
    """Parameters one token passes through; a dense model's are all but the unread ones."""
    layers: float
    unread_params: float = 0.0
    """Rows that decoding looks up instead of reading (untied or per-layer embeddings); part of `params`."""
    expert_params: float = 0.0
    """Routed experts, all of them; 0: none, or not known apart from the rest."""
    expert_share: float = 1.0
    """Experts one token is sent to, over all experts of a layer."""
    expert_bits: float | None = None
    """Bits per expert weight where every conversion keeps the published ones (gpt-oss); None: as the rest."""
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
        return self.active_params < 0.9 * self.read_params

    @property
    def read_params(self) -> float:
        """Parameters that some token reads: all but looked-up embedding rows."""
        return max(self.params - self.unread_params, 0.1 * self.params)

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
    half_units: bool = False
    """Units that multiply bfloat16 (AVX512-BF16, AMX)."""
    assumed: bool = False
    """The processor is in no table; its arithmetic is that of others with vectors as wide."""
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
    host_weight_bytes: float | None = None
    """Weights in system memory that a prompt needs on the GPU (experts on the host: all of them, not only those one
    token uses); None: the CPU's share of `weight_bytes`."""
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


class MeasuredRun(Record):
    """What was seen while a model ran: the speed, and what the machine said meanwhile. None: nobody looked."""

    decode_tps: float
    device_used: Literal["gpu", "cpu"] | None = None
    """Where the engine says, or memory and load show, that it computed."""
    gpu_share: float | None = None
    """Share of the model on the GPU as the engine reports it (Ollama's `ps`, llama.cpp's offloaded layers)."""
    gpu_memory_used_mib: int | None = None
    gpu_memory_total_mib: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    pcie_generation: int | None = None
    pcie_generation_max: int | None = None
    power_limit_w: float | None = None
    power_default_w: float | None = None
    throttle_reasons: tuple[str, ...] = ()
    """As NVML names them: "hw_thermal_slowdown", "sw_power_cap", …"""
    build_targets: tuple[str, ...] = ()
    """GPU targets the engine was compiled for ("sm_70", "gfx1100"); empty: not read."""
    other_gpu_processes: int | None = None
    others_cpu_share: float | None = None
    """Part of the machine's processor time that other programs took meanwhile, 0 to 1."""
    runs: int = 1


class SlowReason(Record):
    """One likely cause of a slow run. `proved` when a reading shows it, else it is only what usually comes first."""

    cause: str
    says: str
    remedy: str
    proved: bool


class SlowVerdict(Record):
    """Whether a measured run is slow for its hardware."""

    slow: bool
    ratio: float
    """Measured over predicted."""
    says: str
    reasons: tuple[SlowReason, ...] = ()
