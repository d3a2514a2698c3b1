"""Answers to batches of questions about speed: one request (a JSON object, `SpeedRequest`), one answer."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from envcheck import hardware
from envcheck.fit import cpus
from envcheck.fit.speed import predict
from envcheck.fit.speed_formats import format_named
from envcheck.fit.speed_shape import shape_of
from envcheck.fit.speed_tables import Format, engine_class, tables
from envcheck.schema.facts import Unknown
from envcheck.schema.hardware import HardwareRow
from envcheck.schema.speed import Band, ModelShape, Processor, SpeedBand, SpeedRequest, Split, Workload

_GIB = 2.0**30
_EXPERTS_ONLY_BITS, _Q8_0_BITS = 5.0, 8.5
_WEAK_HOST = re.compile(r"raspberry|\bpi ?\d", re.IGNORECASE)
_TENSOR_SPLIT = ("vllm", "sglang", "mlc", "tensorrt", "lmdeploy", "tgi", "distributed-llama")
_SIXTEEN_BIT = ("vllm", "sglang", "transformers", "deepspeed", "onnx", "optimum", "lightning", "tgi", "lmdeploy")
_CHAT_PROMPT, _BENCH_PROMPT = 32, 512
"""Tokens of a prompt whose length is not said: a question typed into a chat, and llama-bench's default."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request: `{"id", "value", "low", "high"}` in the unit of its `metric`, or `{"id", "unknown": why}`."""
    name = request.get("id")
    try:
        asked = msgspec.convert(request, SpeedRequest)
    except msgspec.ValidationError as error:
        return {"id": name, "unknown": f"the request does not fit: {error}"}
    question = workload(asked)
    if isinstance(question, Unknown):
        return {"id": name, "unknown": question.why}
    predicted = predict(question)
    if isinstance(predicted, Unknown):
        return {"id": name, "unknown": predicted.why}
    band = _quantity(predicted, asked.metric)
    if band is None:
        return {"id": name, "unknown": f"no prediction of {asked.metric} without the length of the prompt"}
    return {"id": name, "value": band.value, "low": band.low, "high": band.high}


def workload(request: SpeedRequest) -> Workload | Unknown:
    """The question a request asks, or why it cannot be asked."""
    model = f"{request.model or ''} {request.model_file or ''}".strip()
    engine = request.engine or "llama.cpp"
    settings = request.settings or {}
    shape = shape_of(request.model or model, request.params_b, request.active_params_b)
    if shape is None:
        return Unknown(why=f"the size of the model {model!r} is not stated and not in its name")
    gpus = _gpus(request)
    if isinstance(gpus, Unknown):
        return gpus
    hybrid = request.run_device == "hybrid"
    processor = _processor(request) if hybrid or not gpus else None
    if isinstance(processor, Unknown):
        return processor
    stored = _format(request, model, engine, shape.params)
    weight_bytes = request.size_gib * _GIB if request.size_gib else _stored_bytes(shape, stored, engine)
    share = _share_on_gpu(settings, shape) if hybrid else 1.0
    if share is None:
        return Unknown(why="how much of the model lies on the GPU is not stated")
    return Workload(
        shape=shape,
        weight_bytes=weight_bytes,
        weight_kind="int4" if shape.expert_bits else stored.kind,
        engine=engine,
        backend=request.backend,
        gpus=gpus,
        split=_split(engine, len(gpus), settings),
        gpu_bandwidth_gbs=_shared_bandwidth(request, gpus),
        processor=processor,
        gpu_share=share,
        host_weight_bytes=_experts_on_host(settings, shape, weight_bytes) if hybrid else None,
        weak_host=bool(gpus) and bool(_WEAK_HOST.search(request.cpu or "")),
        flash_attention=_flash(request, settings),
        depth=request.depth or 0,
        prompt_tokens=_prompt(request, engine),
        output_tokens=request.n_gen or 128,
        concurrency=request.concurrency or 1,
        parallel_slots=_slots(settings),
    )


def _prompt(request: SpeedRequest, engine: str) -> int:
    if request.prompt_tokens:
        counted = request.metric in ("decode_tps", "tpot_ms") and (request.depth or 0) >= request.prompt_tokens
        return 0 if counted else request.prompt_tokens
    if request.metric not in ("prefill_tps", "ttft_ms"):
        return 0
    return _BENCH_PROMPT if request.metric == "prefill_tps" and engine_class(engine) != "ollama" else _CHAT_PROMPT


def _flash(request: SpeedRequest, settings: dict[str, Any]) -> bool | None:
    """As stated; a llama-bench table that does not print the setting was made with the old default, off."""
    stated = settings.get("fa")
    if stated is None:
        return False if (request.engine or "llama.cpp") == "llama.cpp" and settings else None
    return bool(stated)


def _slots(settings: dict[str, Any]) -> int | None:
    stated = settings.get("parallel") or settings.get("np")
    return stated if isinstance(stated, int) and stated > 0 else None


def _format(request: SpeedRequest, model: str, engine: str, params: float) -> Format:
    stored = format_named(request.quant or "") or format_named(model)
    if stored is not None:
        return stored
    wide = any(word in engine.lower() for word in _SIXTEEN_BIT) and _fits_at_16_bits(request, params)
    return tables().formats["bf16" if wide else "q4_k_m"]


def _stored_bytes(shape: ModelShape, stored: Format, engine: str) -> float:
    """Bytes of the weights where nobody printed a size."""
    if not shape.expert_bits:
        return shape.params * stored.bits / 8.0
    # Every conversion keeps such experts as published; the rest is in the format named, or as wide as is usual.
    own_files = engine_class(engine) in ("llama", "ollama")
    rest = stored.bits if stored.bits > _EXPERTS_ONLY_BITS else _Q8_0_BITS if own_files else 16.0
    return (shape.expert_params * shape.expert_bits + (shape.params - shape.expert_params) * rest) / 8.0


def _fits_at_16_bits(request: SpeedRequest, params: float) -> bool:
    """False when 16-bit weights could not lie on the cards: then an unstated format must be a smaller one."""
    room = (request.hardware_memory_gib or math.inf) * (request.n_gpus or 1)
    return 2.0 * params < 0.9 * room * _GIB


def _gpus(request: SpeedRequest) -> tuple[HardwareRow, ...] | Unknown:
    if request.run_device == "cpu":
        return ()
    name = request.hardware_name or request.gpu
    if not name:
        return Unknown(why="the GPU is not named")
    memory = request.hardware_memory_gib
    row = hardware.find(name, int(memory * 1024) if memory else None)
    if row is None:
        return Unknown(why=f"the GPU {name!r} is not in the hardware table")
    return (row,) * max(request.n_gpus or 1, 1)


def _share_on_gpu(settings: dict[str, Any], shape: ModelShape) -> float | None:
    """Share of the bytes one token reads that lie on the GPU, from llama.cpp's `-ngl` or `--n-cpu-moe`."""
    experts, offloaded = settings.get("n_cpu_moe"), settings.get("ngl")
    if isinstance(experts, int) and shape.expert_params:
        used = shape.expert_params * shape.expert_share
        of_a_token = used / (used + shape.read_params - shape.expert_params)
        return 1.0 - of_a_token * min(experts / shape.layers, 1.0)
    # The output layer counts as one more (llama.cpp "offloaded 33/33 layers").
    return min(offloaded / (shape.layers + 1), 1.0) if isinstance(offloaded, int) and offloaded >= 0 else None


def _experts_on_host(settings: dict[str, Any], shape: ModelShape, weight_bytes: float) -> float | None:
    experts = settings.get("n_cpu_moe")
    if not isinstance(experts, int) or not shape.expert_params:
        return None
    return weight_bytes * shape.expert_params / shape.params * min(experts / shape.layers, 1.0)


def _shared_bandwidth(request: SpeedRequest, gpus: tuple[HardwareRow, ...]) -> float | None:
    """The host's memory bandwidth for a GPU that has no memory of its own, where the CPU is named."""
    if not gpus or gpus[0].bandwidth_gbs or gpus[0].kind != "integrated":
        return None
    host = cpus.find(f"{request.cpu or ''} {request.gpu or ''}", request.ram or "")
    return host.bandwidth_gbs if host else None


def _processor(request: SpeedRequest) -> Processor | Unknown:
    if not request.cpu:
        return Unknown(why="the CPU is not named")
    threads = (request.settings or {}).get("threads")
    found = cpus.find(request.cpu, request.ram or "", threads if isinstance(threads, int) else None)
    return found or Unknown(why=f"the memory bandwidth of the CPU {request.cpu!r} is not known")


def _split(engine: str, n: int, settings: dict[str, Any]) -> Split:
    if n < 2:
        return "none"
    if str(settings.get("split_mode") or settings.get("sm") or "").lower() in ("row", "tensor"):
        return "tensor"
    return "tensor" if any(word in engine.lower() for word in _TENSOR_SPLIT) else "layer"


def _quantity(predicted: SpeedBand, metric: str) -> Band | None:
    if metric == "tpot_ms":
        rate = predicted.decode_tps
        return Band(value=1e3 / rate.value, low=1e3 / rate.high, high=1e3 / rate.low)
    return {
        "decode_tps": predicted.decode_tps,
        "prefill_tps": predicted.prefill_tps,
        "ttft_ms": predicted.ttft_ms,
        "output_throughput": predicted.throughput_tps,
    }[metric]
