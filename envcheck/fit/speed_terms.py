"""Seconds of one decoding step and of one prompt, term by term. Pure formulas; the constants are data (`speed.toml`).

Decoding one token of one stream reads every active weight once, so on any device

    seconds = bytes / (share * bandwidth) + unpacking / arithmetic rate + layers * (launches + hops) + cache / bandwidth

and a prompt is arithmetic: seconds = 2 * active parameters * tokens / sustained rate + attention + one reading of the
weights per batch. Both follow the roofline view of Williams, Waterman and Patterson (CACM 52(4), 2009).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from envcheck.schema.hardware import HardwareRow
from envcheck.schema.speed import Processor, Workload

Constants = Mapping[str, float]

_MICRO = 1e-6
_BATCH, _LARGE_BATCH = 512, 2048
"""Prompt tokens that go through the model together: llama.cpp's default `--ubatch-size`, vLLM's smallest default of
`max_num_batched_tokens`."""


def memory_class(row: HardwareRow) -> str:
    """ "hbm", "gddr" or "soc": how near one stream comes to the nominal bandwidth."""
    if (row.memory_type or "").startswith("HBM"):
        return "hbm"
    return "soc" if row.kind in ("soc", "integrated") else "gddr"


def backend_of(w: Workload) -> str:
    """ "cuda", "rocm", "vulkan", "metal", "sycl" or "cpu", from what is said or from the GPU's vendor."""
    said = (w.backend or "").lower()
    for name in ("cuda", "rocm", "vulkan", "metal", "sycl"):
        if name in said:
            return name
    if not w.gpus:
        return "cpu"
    return {"NVIDIA": "cuda", "AMD": "rocm", "Apple": "metal", "Intel": "sycl"}.get(w.gpus[0].vendor, "vulkan")


def bandwidth(w: Workload) -> float | None:
    """Bytes per second of the slowest GPU in use; None where no source or reading states it."""
    if w.gpu_bandwidth_gbs:
        return w.gpu_bandwidth_gbs * 1e9
    stated = [row.bandwidth_gbs for row in w.gpus]
    known = [each for each in stated if each]
    return min(known) * 1e9 if known and len(known) == len(stated) else None


def vector_rate(row: HardwareRow, k: Constants) -> float:
    """Operations per second that unpack weights: the FP32 rate, or what cards of this bandwidth usually have."""
    stated = row.fp32_tflops or row.fp16_vector_tflops
    return (stated or (row.bandwidth_gbs or 100.0) * k["prefill.fp32_per_gbs"]) * 1e12


def _touched(share: float, streams: float, k: Constants) -> float:
    """Share of the experts that `streams` tokens touch together when each is sent to `share` of them.

    Tokens that drew experts independently would leave (1 - share) ** streams untouched; tokens of like texts draw
    alike, so they count as fewer (an exponent below 1).
    """
    return 1.0 - math.pow(1.0 - share, math.pow(streams, k["decode.experts"]))


def read_bytes(w: Workload, streams: float, k: Constants) -> float:
    """Weight bytes of one step: without the rows that are looked up, and of the experts only those that are used."""
    shape = w.shape
    if not shape.expert_params:
        share = min(shape.active_params / shape.read_params, 1.0)
        return w.weight_bytes * shape.read_params / shape.params * _touched(share, streams, k)
    experts = w.weight_bytes * shape.expert_params / shape.params
    if shape.expert_bits:
        experts = min(shape.expert_params * shape.expert_bits / 8.0, 0.98 * w.weight_bytes)
    others = shape.params - shape.expert_params
    always = (w.weight_bytes - experts) * max(others - shape.unread_params, 0.0) / others
    return always + experts * _touched(shape.expert_share, streams, k)


def decode_seconds(w: Workload, engine: str, streams: float, depth: float, k: Constants) -> float | None:
    """Seconds of one step in which each of `streams` sequences gets one token. None: a bandwidth is not known."""
    on_cpu = 0.0
    if w.gpu_share < 1.0 or not w.gpus:
        if w.processor is None:
            return None
        on_cpu = cpu_seconds(w, w.processor, engine, streams, depth, k)
        if not w.gpus:
            return on_cpu
    rate = bandwidth(w)
    if rate is None:
        return None
    on_gpu = _gpu_seconds(w, engine, streams, depth, rate, k)
    hops = k["decode.host_hop"] * _MICRO * w.shape.layers if w.gpu_share < 1.0 else 0.0
    return w.gpu_share * on_gpu + (1.0 - w.gpu_share) * on_cpu + hops


def _gpu_seconds(w: Workload, engine: str, streams: float, depth: float, rate: float, k: Constants) -> float:
    row = w.gpus[0]
    n = len(w.gpus) if w.split == "tensor" else 1
    moe = k["decode.moe"] if w.shape.is_moe else 1.0
    weights = moe * read_bytes(w, streams, k) / (k[f"decode.share_{memory_class(row)}"] * rate)
    unpack = moe * w.shape.active_params * k[f"decode.unpack_{w.weight_kind}"] / vector_rate(row, k)
    arithmetic = 2.0 * w.shape.active_params * (streams - 1.0) / (matrix_rate(w, engine, k) * k["decode.batch"])
    attention = "decode.share_kv_flash" if _flash(w, engine) else "decode.share_kv"
    cache = streams * _kv_bytes(w, depth) / (k[attention] * rate)
    launches = w.shape.layers * (k[f"decode.launch_{engine}"] + k["decode.weak_host"] * w.weak_host)
    per_stream = k["decode.sequence"] * (streams - 1.0)
    return (weights + unpack + arithmetic + cache) / n + (launches + per_stream + _link(w, k)) * _MICRO


def _link(w: Workload, k: Constants) -> float:
    """Microseconds per step spent between GPUs: two all-reduces per layer, or one hand-over per boundary."""
    n = len(w.gpus)
    if n < 2:
        return 0.0
    if w.split == "tensor":
        return w.shape.layers * k["multi.all_reduce"] * math.log2(n)
    return (n - 1) * k["multi.hand_over"] * w.shape.layers / 32.0


def _kv_bytes(w: Workload, depth: float) -> float:
    return w.shape.kv_bytes(depth) * w.kv_bytes_per_element / 2.0


def cpu_seconds(w: Workload, cpu: Processor, engine: str, streams: float, depth: float, k: Constants) -> float:
    """Seconds of one step on the CPU: memory and arithmetic overlap badly, so they add."""
    if engine == "eager":
        return _eager_cpu_seconds(w, cpu, streams, depth, k)
    own_kernels = engine in ("llama", "ollama")
    rate = cpu.bandwidth_gbs * 1e9 * k["cpu.share"]
    cores = cpu.cores * cpu.giga_flops_per_core * 1e9
    moe = k["cpu.moe"] if w.shape.is_moe else 1.0
    weights = moe * read_bytes(w, streams, k) / rate
    kernels = k["cpu.ik"] if "ik_llama" in w.engine.lower() else 1.0
    unpack = streams * w.shape.active_params * k[f"cpu.unpack_{w.weight_kind}"] * kernels / cores
    cache = streams * _kv_bytes(w, depth) / rate * k["cpu.kv" if own_kernels else "cpu.kv_eager"]
    return weights + unpack + cache + w.shape.layers * cpu.cores * k["cpu.launch"] * _MICRO


def _eager_cpu_seconds(w: Workload, cpu: Processor, streams: float, depth: float, k: Constants) -> float:
    """The same in PyTorch, module by module; measured in benchmarks/cpu_transformers_2026-11-21.txt.

    A matrix times one row runs on one thread in f32, whatever `torch.set_num_threads` says (MKL), and on all in 16 bit,
    where widening the weights takes longer than reading them. The operations of a layer are started one by one.
    """
    memory = cpu.bandwidth_gbs * 1e9 * k["cpu.share"]
    cores = cpu.cores * cpu.giga_flops_per_core * 1e9
    if w.weight_bytes > _WIDE * w.shape.params and streams <= 1.0:
        memory = min(memory, k["cpu.core_gbs"] * 1e9)
    reading = read_bytes(w, streams, k) / memory
    widening = 0.0
    if w.weight_bytes <= _WIDE * w.shape.params:
        widening = w.shape.active_params * (k["cpu.widen_eager"] + k[f"cpu.unpack_{w.weight_kind}"]) / cores
    products = 2.0 * w.shape.active_params * (streams - 1.0) / (cores * k["cpu.matrix_eager"])
    cache = streams * _kv_bytes(w, depth) / (cpu.bandwidth_gbs * 1e9 * k["cpu.share"]) * k["cpu.kv_eager"]
    return max(reading, widening) + products + cache + w.shape.layers * k["cpu.launch_eager"] * _MICRO


_WIDE = 3.0
"""Bytes of a parameter above which weights are f32."""


def cpu_matrix_rate(w: Workload, cpu: Processor, engine: str, k: Constants) -> float:
    """Operations per second of matrix products in a prompt on the CPU."""
    peak = cpu.cores * cpu.giga_flops_per_core * 1e9
    if engine == "eager":
        halves = w.weight_bytes <= _WIDE * w.shape.params and cpu.half_units
        return peak * k["cpu.matrix_eager"] * (k["cpu.half_units"] if halves else 1.0)
    return peak * k["cpu.matrix"] / (k["cpu.ik"] if "ik_llama" in w.engine.lower() else 1.0)


def matrix_rate(w: Workload, engine: str, k: Constants) -> float:
    """Sustained operations per second of matrix products in a prompt, one GPU.

    Engines that dequantize and call the vendor's libraries reach a share of the nominal matrix rate. In llama.cpp's own
    kernels the units and the power limit count like resistances in series: large chips with little power (RTX 6000 Ada,
    L40S) sustain far less of their nominal rate than small chips with much.
    """
    row, backend = w.gpus[0], backend_of(w)
    shape = k["prefill.f16"] if w.weight_kind == "f16" else 1.0
    moe = k["prefill.moe"] if w.shape.is_moe else 1.0
    if backend == "cuda" and row.fp16_matrix_tflops:
        if engine not in ("llama", "ollama", "awq"):
            return row.fp16_matrix_tflops * 1e12 * k["prefill.serving"] * moe
        units = row.fp16_matrix_tflops * _rate_parts(row, k)
        power = row.tdp_w * k["prefill.per_watt"] if row.tdp_w and row.kind == "discrete" else math.inf
        return 1e12 / (1.0 / units + 1.0 / power) * shape * moe
    return _vector_units(row, backend, k) * shape * moe


def _rate_parts(row: HardwareRow, k: Constants) -> float:
    """Share of the nominal matrix rate that llama.cpp's kernels can use: GeForce is sold at half rate already."""
    if (row.memory_type or "").startswith("HBM"):
        return k["prefill.hbm"]
    return k["prefill.geforce"] if "GeForce" in row.name else k["prefill.professional"]


def _vector_units(row: HardwareRow, backend: str, k: Constants) -> float:
    """Operations per second where no matrix rate is known, as a multiple of the vector rate."""
    vector = vector_rate(row, k)
    if backend == "cuda":
        newer = float(row.compute_capability or "0") >= 8.0
        return vector * (k["prefill.cuda_untold"] if newer else k["prefill.pascal"])
    if backend == "metal":
        return vector * k["prefill.metal"]
    half = row.fp16_matrix_tflops or row.fp16_vector_tflops
    return (half * 1e12 if half and row.vendor == "NVIDIA" else 2.0 * vector) * k[f"prefill.{backend}"]


_LANE_GBS = {"1": 0.25, "2": 0.5, "3": 0.985, "4": 1.97, "5": 3.94}
"""10^9 bytes per second of one PCIe lane by generation, after line coding (PCI-SIG base specifications)."""
_REACHED = 0.8
"""Share of that which large copies reach: 12.1 of 15.75 for 3.0 x16, 26.2 of 31.5 for 4.0 x16
(https://microway.com/knowledge-center-articles/performance-characteristics-of-common-transports-buses)."""


def _link_rate(row: HardwareRow) -> float:
    """Bytes per second from system memory to the card; PCIe 3.0 x16 where the table does not say."""
    found = re.fullmatch(r"PCIe (\d)\.\d x(\d+)", row.pcie or "")
    generation, lanes = (found[1], int(found[2])) if found else ("3", 16)
    return _LANE_GBS.get(generation, 0.985) * lanes * 1e9 * _REACHED


def _host_bytes(w: Workload) -> float:
    """Weights that each batch of a prompt fetches over the link: llama.cpp computes large batches on the GPU."""
    if w.gpu_share >= 1.0:
        return 0.0
    return w.host_weight_bytes if w.host_weight_bytes is not None else w.weight_bytes * (1.0 - w.gpu_share)


def _flash(w: Workload, engine: str) -> bool:
    """Whether attention runs fused: as stated, else as the engine does by default (llama.cpp since August 2025)."""
    return engine not in ("awq", "eager") if w.flash_attention is None else w.flash_attention


def prefill_seconds(w: Workload, engine: str, k: Constants, requests: float = 1.0) -> float | None:
    """Seconds to process the prompts of `requests` requests behind `depth` cached tokens. None: a rate is not known."""
    tokens = max(w.prompt_tokens, 1)
    products = 2.0 * w.shape.active_params * tokens * requests
    attention = 4.0 * w.shape.width * w.shape.attention_span(w.depth + tokens / 2.0) * tokens * requests
    if not w.gpus:
        if w.processor is None:
            return None
        rate = cpu_matrix_rate(w, w.processor, engine, k)
        return (products + attention) / rate + w.weight_bytes / (w.processor.bandwidth_gbs * 1e9 * k["cpu.share"])
    link = bandwidth(w)
    if link is None:
        return None
    rate = matrix_rate(w, engine, k) * math.pow(len(w.gpus), k["multi.prefill"])
    batch = _BATCH if engine in ("llama", "ollama") else _LARGE_BATCH
    passes = max(tokens * requests / batch, 1.0)
    gather = k["prefill.experts"] if w.shape.is_moe else 1.0
    touched = (
        gather * read_bytes(w, min(tokens * requests, batch), k) / (link * k[f"decode.share_{memory_class(w.gpus[0])}"])
    )
    efficiency = k["prefill.attention_flash" if _flash(w, engine) else "prefill.attention"]
    spread = len(w.gpus) if w.split == "tensor" else 1
    start = k[f"prefill.start_{engine}"] * 1e-3
    copies = passes * _host_bytes(w) / _link_rate(w.gpus[0])
    return products / rate + attention / (rate * efficiency) + passes * touched / spread + copies + start
