"""Answers to batches of questions about memory: one request (a JSON object), one answer.

Fields of a request: engine, engine_fork, engine_version, gpu, model, gguf_file, arch, quant, tensor_types,
size_printed, params_printed, settings, given. An answer holds MiB by term, or `unknown` with the reason.
"""

from __future__ import annotations

from typing import Any

import msgspec

from envcheck.fit import (
    estimate_transformers,
    estimate_vllm,
    memory_gguf_weights,
    memory_hparams,
    memory_llama,
    memory_llama_settings,
)
from envcheck.fit.memory_interval import Situation, interval
from envcheck.fit.memory_types import MIB

Answer = dict[str, Any]


def answer(request: dict[str, Any]) -> Answer:
    """Answer one request; where the facts do not suffice the answer says why."""
    engine = request.get("engine")
    if engine in ("llama.cpp", "ollama"):
        reply = _llama(request)
    elif engine == "vllm":
        reply = estimate_vllm.answer(request)
    elif engine == "transformers":
        reply = estimate_transformers.answer(request)
    else:
        reply = {"unknown": f"no memory rules for the engine {engine!r}"}
    return {"id": request.get("id"), **reply}


def _devices(request: dict[str, Any]) -> int:
    """GPUs in use: never more than are listed (row split prints two buffers a GPU), and Apple silicon has one."""
    used = int((request.get("given") or {}).get("devices_used") or 1)
    listed = request.get("gpu") or []
    if any("apple" in str(gpu.get("name")).lower() for gpu in listed):
        return 1
    return min(used, len(listed)) if listed else used


def _situation(settings: memory_llama_settings.LlamaSettings, hparams: memory_hparams.Hparams) -> Situation:
    if settings.fork:
        return "llama.cpp fork"
    whole = not memory_llama.offload_of(hparams, settings).partial
    return "llama.cpp one GPU" if whole and settings.devices == 1 else "llama.cpp partial or several GPUs"


def _with_limited_outputs(
    hparams: memory_hparams.Hparams,
    weights: memory_gguf_weights.GgufWeights,
    settings: memory_llama_settings.LlamaSettings,
) -> float | None:
    """The total if this is a build that reserves few logits, where that cannot be told; MiB."""
    if settings.build_known or not settings.output_first:
        return None
    few = msgspec.structs.replace(settings, limited_outputs=True)
    return memory_llama.memory(hparams, weights, few).total / MIB


def _llama(request: dict[str, Any]) -> Answer:
    hparams = memory_hparams.from_header(request.get("arch") or {})
    if hparams is None:
        return {"unknown": "the log prints no layer count, width or vocabulary, and the model is not named"}
    weights = memory_gguf_weights.split(
        hparams,
        request.get("quant"),
        request.get("tensor_types"),
        request.get("size_printed"),
        request.get("params_printed"),
    )
    if weights is None:
        return {"unknown": "the log prints no file size"}
    settings = memory_llama_settings.from_log(
        request.get("settings") or {},
        str(request.get("engine")),
        request.get("engine_fork"),
        request.get("engine_version"),
        _devices(request),
    )
    try:
        found = memory_llama.memory(hparams, weights, settings)
        other = _with_limited_outputs(hparams, weights, settings)
    except KeyError as error:
        return {"unknown": f"cache type {error.args[0]!r} is not known"}
    situation = _situation(settings, hparams)
    return {
        "situation": situation,
        "interval_mib": {"total_gpu": list(interval(found.total / MIB, situation, other))},
        "memory_mib": {
            "weights_gpu": found.weights / MIB,
            "kv_gpu": found.cache / MIB,
            "recurrent_state": found.state / MIB,
            "compute_gpu": found.compute / MIB,
        },
    }
