"""Seconds of one decoding step and of one prompt, term by term. Pure formulas; the constants are data (`speed.toml`).

Decoding one token of one stream reads every active weight once, so on any device

    seconds = bytes / (share * bandwidth) + unpacking / arithmetic rate + layers * (launches + hops) + cache / bandwidth

and a prompt is arithmetic: seconds = 2 * active parameters * tokens / sustained rate + attention + one reading of the
weights per batch. Both follow the roofline view of Williams, Waterman and Patterson (CACM 52(4), 2009).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from envcheck.schema.hardware import HardwareRow
from envcheck.schema.speed import Processor, Workload

Constants = Mapping[str, float]

_MICRO = 1e-6
_BATCH = 512
"""Prompt tokens that go through the model together (llama.cpp's default ubatch; vLLM's chunks are larger)."""


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


def active_share(w: Workload, streams: float) -> float:
    """Share of the weights that `streams` tokens touch together: experts are drawn independently."""
    one = min(w.shape.active_params / w.shape.params, 1.0)
    return 1.0 - math.pow(1.0 - one, streams)


def read_bytes(w: Workload, streams: float) -> float:
    """Weight bytes of one step: without the embedding rows that are looked up, and active experts only."""
    stored = w.weight_bytes * max(1.0 - w.shape.unread_params / w.shape.params, 0.1)
    return stored * active_share(w, streams)


def decode_seconds(w: Workload, engine: str, streams: float, depth: float, k: Constants) -> float | None:
    """Seconds of one step in which each of `streams` sequences gets one token. None: a bandwidth is not known."""
    on_cpu = 0.0
    if w.gpu_share < 1.0 or not w.gpus:
        if w.processor is None:
            return None
        on_cpu = cpu_seconds(w, w.processor, streams, depth, k)
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
    weights = moe * read_bytes(w, streams) / (k[f"decode.share_{memory_class(row)}"] * rate)
    unpack = moe * w.shape.active_params * k[f"decode.unpack_{w.weight_kind}"] / vector_rate(row, k)
    arithmetic = 2.0 * w.shape.active_params * (streams - 1.0) / matrix_rate(w, k)
    cache = streams * _kv_bytes(w, depth) / (k["decode.share_kv"] * rate)
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


def cpu_seconds(w: Workload, cpu: Processor, streams: float, depth: float, k: Constants) -> float:
    """Seconds of one step on the CPU: memory and arithmetic overlap badly, so they add."""
    rate = cpu.bandwidth_gbs * 1e9 * k["cpu.share"]
    cores = cpu.cores * cpu.giga_flops_per_core * 1e9
    moe = k["cpu.moe"] if w.shape.is_moe else 1.0
    weights = moe * read_bytes(w, streams) / rate
    unpack = streams * w.shape.active_params * k[f"cpu.unpack_{w.weight_kind}"] / cores
    cache = streams * _kv_bytes(w, depth) / rate * k["cpu.kv"]
    return weights + unpack + cache + w.shape.layers * k["cpu.launch"] * _MICRO


def matrix_rate(w: Workload, k: Constants) -> float:
    """Sustained operations per second of matrix products in a prompt, all GPUs of a tensor split together.

    The units limit and the power limit count like resistances in series: large chips with little power (RTX 6000 Ada,
    L40S) sustain far less of their nominal rate than small chips with much.
    """
    row, backend = w.gpus[0], backend_of(w)
    vector = vector_rate(row, k) / 1e12
    if backend == "cuda" and row.fp16_matrix_tflops:
        geforce = "GeForce" in row.name
        nominal = row.fp16_matrix_tflops * (1.0 if geforce else k["prefill.full_rate_parts"])
        units = nominal * k["prefill.cuda"]
    elif backend == "cuda":
        newer = float(row.compute_capability or "0") >= 8.0
        units = vector * (k["prefill.cuda_untold"] if newer else k["prefill.pascal"])
    elif backend == "metal":
        units = vector * k["prefill.metal"]
    else:
        units = (row.fp16_vector_tflops or 2.0 * vector) * k[f"prefill.{backend}"]
    power = (
        row.tdp_w * k["prefill.per_watt"] if row.tdp_w and row.kind == "discrete" and backend == "cuda" else math.inf
    )
    shape = k["prefill.f16"] if w.weight_kind == "f16" else 1.0
    moe = k["prefill.moe"] if w.shape.is_moe else 1.0
    return 1e12 / (1.0 / units + 1.0 / power) * shape * moe


def prefill_seconds(w: Workload, engine: str, k: Constants) -> float | None:
    """Seconds to process the prompt behind `depth` cached tokens, one stream. None: a rate is not known."""
    tokens = max(w.prompt_tokens, 1)
    products = 2.0 * w.shape.active_params * tokens
    context = w.depth + tokens / 2.0
    attention = 4.0 * w.shape.layers * w.shape.width * context * tokens
    if not w.gpus:
        if w.processor is None:
            return None
        rate = w.processor.cores * w.processor.giga_flops_per_core * 1e9 * k["cpu.matrix"]
        return (products + attention) / rate + w.weight_bytes / (w.processor.bandwidth_gbs * 1e9 * k["cpu.share"])
    link = bandwidth(w)
    if link is None:
        return None
    rate = matrix_rate(w, k) * math.pow(len(w.gpus), k["multi.prefill"])
    batches = math.ceil(tokens / _BATCH)
    touched = read_bytes(w, min(tokens, _BATCH)) / link * k["prefill.weights"]
    overhead = k[f"prefill.start_{engine}"] * 1e-3
    return products / rate + attention / (rate * k["prefill.attention"]) + batches * touched + overhead
