"""A model's need as far as an intent tells it: for judging a report that names a model and options and no error.

Pure: the catalog (`requirements_matrix/models`) and the same arithmetic that `envcheck fit` and `estimate` use.
"""

from __future__ import annotations

from envcheck.fit.memory_checkpoint import gguf_weights
from envcheck.fit.memory_scheme import release, scheme
from envcheck.fit.memory_types import MIB
from envcheck.fit.memory_vllm import (
    COMMUNICATION_MIB,
    DEFAULT_BATCHED_TOKENS,
    NON_TORCH_MIB,
    VllmShape,
    activation_bytes,
)
from envcheck.fit.memory_vllm_cache import Started, cache_width, request_bytes
from envcheck.fit.memory_vllm_loaded import loaded_bytes
from envcheck.fit.models import find
from envcheck.schema.model import ModelFacts, ResolvedModel
from envcheck.schema.need import ModelNeed
from envcheck.schema.verdict import Intent

_GGUF_BACKENDS = ("ollama", "llama.cpp")
_OLLAMA_DEFAULT = "Q4_K_M"
"""What an Ollama tag without a format is: https://github.com/ollama/ollama/blob/main/docs/import.mdx (quantizing)."""
_PROFILED_SEQUENCES = 1
"""The least the sampler's rehearsal takes: releases differ in how many sequences they rehearse with."""
_MOST_PARALLEL = 1024


def need_of(intent: Intent, version: str | None = None) -> ModelNeed | None:
    """The need of `intent`; None where the catalog does not know the model or its format. `version`: the backend's."""
    found = find(intent.model) if intent.model else None
    if not isinstance(found, ResolvedModel):
        return None
    options = _options(intent)
    method = intent.quantization or options.get("quantization")
    kind = _published(found.facts, scheme(intent.model, method, options.get("dtype")), method)
    if kind.startswith("gguf:") or intent.backend in _GGUF_BACKENDS:
        return _of_file(found.facts, kind.removeprefix("gguf:") if kind.startswith("gguf:") else _OLLAMA_DEFAULT)
    return _of_checkpoint(intent.model or "", found.facts, kind, options, version)


def _of_file(facts: ModelFacts, quant: str) -> ModelNeed | None:
    weights = gguf_weights(facts, quant)
    if weights is None:
        return None
    return ModelNeed(
        model=facts.name,
        scheme=f"gguf:{quant}",
        weights_mib=weights.total / MIB,
        heads=_heads(facts),
        precision=facts.precision,
        latent=facts.latent is not None,
        experts=facts.experts is not None,
    )


def _of_checkpoint(
    name: str, facts: ModelFacts, kind: str, options: dict[str, str], version: str | None
) -> ModelNeed | None:
    tensor = _count(options, ("tensor-parallel-size", "tp-size", "tp"))
    pipeline = _count(options, ("pipeline-parallel-size", "pp-size", "pp"))
    if max(tensor, pipeline) > _MOST_PARALLEL:
        return None
    asked = _count(options, ("max-model-len", "context-length", "max-seq-len"), missing=0)
    element = 4.0 if "32" in (options.get("dtype") or "") else 2.0
    started = Started(
        max_length=asked or facts.max_context or 1,
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        version=release(version),
        cache_bytes=cache_width(options.get("kv-cache-dtype"), element),
        model_bytes=element,
    )
    weights = loaded_bytes(name, facts, kind, started, None, text_only=False)
    if weights is None:
        return None
    shape = VllmShape(
        tensor_parallel=tensor,
        batched_tokens=_batched(options, started),
        sequences=_PROFILED_SEQUENCES,
        element=element,
    )
    work = activation_bytes(facts, shape) / MIB + NON_TORCH_MIB + (COMMUNICATION_MIB if tensor > 1 else 0.0)
    return ModelNeed(
        model=facts.name,
        scheme=kind,
        weights_mib=weights / MIB,
        work_mib=work,
        request_mib=request_bytes(facts, started) / MIB if asked or facts.max_context else None,
        context=asked or facts.max_context,
        context_stated=bool(asked),
        heads=_heads(facts),
        precision=facts.precision,
        latent=facts.latent is not None,
        experts=facts.experts is not None,
    )


def _batched(options: dict[str, str], started: Started) -> int:
    """Tokens of the profiling run: a whole request until chunked prefill became the rule with 0.8.

    `EngineArgs.create_engine_config` of vllm-project/vllm v0.4 to v0.7: max(max_model_len, 2048), and 512 (later 2048)
    where chunked prefill turns itself on above 32 Ki tokens.
    """
    asked = _count(options, ("max-num-batched-tokens",), missing=0)
    whole = started.version and started.version < _CHUNKED and started.max_length <= _CHUNKED_ABOVE
    return asked or (max(started.max_length, DEFAULT_BATCHED_TOKENS) if whole else DEFAULT_BATCHED_TOKENS)


_CHUNKED = (0, 8)
_CHUNKED_ABOVE = 32768


def _published(facts: ModelFacts, kind: str, method: str | None) -> str:
    """The publisher's own format where nothing in the name or the options says another."""
    plain = kind in ("bf16", "fp16") and not method
    return {"float8": "fp8-block", "mxfp4": "mxfp4"}.get(facts.precision, kind) if plain else kind


def _heads(facts: ModelFacts) -> int:
    attention = facts.attention or facts.latent
    return 0 if attention is None or facts.heads_by_layer else attention.heads


def _options(intent: Intent) -> dict[str, str]:
    found: dict[str, str] = {}
    for flag in intent.flags:
        name, _, value = flag.partition("=")
        found.setdefault(name.lstrip("-").replace("_", "-"), value)
    return found


def _count(options: dict[str, str], names: tuple[str, ...], missing: int = 1) -> int:
    stated = [options[name] for name in names if options.get(name, "").isdigit() and len(options[name]) < 10]
    return max(int(stated[0]), missing) if stated else missing
