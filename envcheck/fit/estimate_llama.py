"""A llama.cpp or Ollama start-up from the lines of its log: weights, cache, state and compute buffers on the GPUs."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from envcheck.fit import memory_gguf_weights, memory_hparams, memory_llama, memory_llama_settings
from envcheck.fit.memory_checkpoint import gguf_weights
from envcheck.fit.memory_gguf_weights import GgufWeights
from envcheck.fit.memory_hparams import Hparams
from envcheck.fit.memory_interval import Situation, interval
from envcheck.fit.memory_llama_settings import LlamaSettings
from envcheck.fit.memory_types import MIB, element_bytes
from envcheck.fit.model_names import quantization_in
from envcheck.fit.models import find
from envcheck.schema.model import ModelFacts, ResolvedModel

WITH_PER_LAYER_EMBEDDINGS = ("gemma3n", "gemma4")
_GROUP = {"small": "_S", "medium": "_M", "large": "_L"}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Terms and the interval of their sum, or why there are none."""
    found = _model(request)
    if isinstance(found, str):
        return {"unknown": found}
    hparams, weights = found
    settings = memory_llama_settings.from_log(
        request["settings"] or {},
        str(request["engine"]),
        request["engine_fork"],
        request["engine_version"],
        _devices(request),
    )
    for kind in (settings.type_k, settings.type_v):
        if element_bytes(kind) is None:
            return {"unknown": f"the cache type {kind!r} is not known"}
    return _terms(hparams, weights, settings)


def _terms(hparams: Hparams, weights: GgufWeights, settings: LlamaSettings) -> dict[str, Any]:
    found = memory_llama.memory(hparams, weights, settings)
    situation = _situation(settings, hparams)
    other = _with_limited_outputs(hparams, weights, settings)
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


def _model(request: dict[str, Any]) -> tuple[Hparams, GgufWeights] | str:
    """Shape and weights from the log's header where it was printed, from the catalog by name where it was not."""
    hparams = memory_hparams.from_header(request["arch"] or {})
    facts = _facts(request) if hparams is None or not request["size_printed"] else None
    if hparams is None and facts is None:
        return "the log prints no layer count, width or vocabulary, and names no model of the catalog"
    shape = hparams or memory_hparams.from_facts(facts) if facts else hparams
    assert shape is not None  # noqa: S101  one of the two is there, and the type checker cannot see it
    printed = memory_gguf_weights.split(
        shape,
        request["quant"],
        request["tensor_types"],
        request["size_printed"],
        request["params_printed"],
        _per_layer_table(request),
    )
    weights = printed or (_by_quantization(facts, request) if facts else None)
    if weights is None or len(weights.layers) != shape.layer_count:
        return "the log prints no file size, and the file's type is not known"
    return shape, weights


def _facts(request: dict[str, Any]) -> ModelFacts | None:
    for name in (request["model"], request["gguf_file"]):
        found = find(name) if name else None
        if isinstance(found, ResolvedModel):
            return found.facts
    return None


def _per_layer_table(request: dict[str, Any]) -> int:
    """Elements of the embeddings by layer, which a header does not show, from the catalog.

    Ollama's own engine puts them on the GPU with the layers.
    """
    in_host_memory = (request["settings"] or {}).get("ollama_runner") != "ollama-engine"
    has_them = (request["arch"] or {}).get("arch") in WITH_PER_LAYER_EMBEDDINGS
    facts = _facts(request) if has_them and in_host_memory else None
    return facts.per_layer_vocab * facts.per_layer_width * facts.layer_count if facts else 0


def _by_quantization(facts: ModelFacts, request: dict[str, Any]) -> GgufWeights | None:
    """The file of that type as the quantizer would write it; Ollama's tags without a type are Q4_K_M."""
    named = file_type(request["quant"]) or quantization_in(request["gguf_file"] or request["model"] or "")
    if named is None and request["engine"] == "ollama":
        named = "Q4_K_M"
    return gguf_weights(facts, named) if named else None


def file_type(printed: str | None) -> str | None:
    """llama.cpp's name of a file type from the words it prints ("Q4_K - Medium" → Q4_K_M, "Q8_0", "MXFP4")."""
    found = re.match(r"([A-Z0-9_]+)(?:\s*-\s*(Small|Medium|Large))?", (printed or "").strip(), re.IGNORECASE)
    if not found:
        return None
    name = found[1].upper() + _GROUP.get((found[2] or "").lower(), "")
    return {"MXFP4": "MXFP4_MOE", "Q2_K_M": "Q2_K"}.get(name, name)


def _devices(request: dict[str, Any]) -> int:
    """GPUs in use: never more than are listed (row split prints two buffers a GPU), and Apple silicon has one."""
    used = int((request["given"] or {}).get("devices_used") or 1)
    listed = request["gpu"] or []
    if any("apple" in str(gpu.get("name")).lower() for gpu in listed):
        return 1
    return min(used, len(listed)) if listed else used


def _situation(settings: LlamaSettings, hparams: Hparams) -> Situation:
    if settings.fork:
        return "llama.cpp fork"
    whole = not memory_llama.offload_of(hparams, settings).partial
    return "llama.cpp one GPU" if whole and settings.devices == 1 else "llama.cpp partial or several GPUs"


def _with_limited_outputs(hparams: Hparams, weights: GgufWeights, settings: LlamaSettings) -> float | None:
    """The total if this is a build that reserves few logits, where that cannot be told; MiB."""
    if settings.build_known or not settings.output_first:
        return None
    few = msgspec.structs.replace(settings, limited_outputs=True)
    return memory_llama.memory(hparams, weights, few).total / MIB
