"""A vLLM start-up from its log line: weights, tokens of cache, cache of one request of full length."""

from __future__ import annotations

from typing import Any

import msgspec

from envcheck.fit.memory_interval import Situation, interval
from envcheck.fit.memory_scheme import release, scheme
from envcheck.fit.memory_types import MIB
from envcheck.fit.memory_vllm import DEFAULT_BATCHED_TOKENS
from envcheck.fit.memory_vllm_cache import Started, cache_width, capacity_tokens, request_bytes
from envcheck.fit.memory_vllm_loaded import loaded_bytes
from envcheck.fit.models import find
from envcheck.schema.model import ModelFacts, ResolvedModel

DRAFTING_SINCE = (0, 19)
"""Logs of this release and later do not say whether a model's multi-token prediction was on; in each of the four hybrid
models whose cache could be recomputed to the token it was, with three tokens."""
DRAFT_TOKENS = 3
DRAFTER_SINCE = (0, 25)
"""The same of draft models that publishers name in their command line (vllm-project/vllm#46853)."""
ENCODER_BUDGET_SINCE = (0, 10)
FP8_CACHE_PUBLISHERS = ("nvidia/", "unsloth/")
"""Whose NVFP4 checkpoints carry scales for an fp8 cache, which "auto" then follows."""
FP8_CACHE_FAMILIES = ("laguna",)
"""Families whose quantized checkpoints all do (https://huggingface.co/poolside/Laguna-XS.2-NVFP4)."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Terms and intervals of one start-up, or why there are none."""
    name = str(request.get("model") or request.get("gguf_file") or "")
    if not name:
        return {"unknown": "the log names no model"}
    found = find(name)
    if not isinstance(found, ResolvedModel):
        return {"unknown": f"{name!r} is not a model of the catalog"}
    settings = request.get("settings") or {}
    method = settings.get("quantization") or request.get("quant")
    kind = scheme(name, method, settings.get("dtype"))
    started = _started(name, found.facts, kind, settings, request.get("engine_version"))
    given = (request.get("given") or {}).get("kv_budget")
    memory = _memory(name, found.facts, kind, started, given, settings)
    if not memory:
        return {"unknown": f"the size of {found.facts.name} in {kind} is not known"}
    other = _other(name, found.facts, kind, started, given, settings)
    situations = {key: _situation(key, found.facts, kind) for key in memory}
    return {
        "situation": situations,
        "memory_mib": memory,
        "interval_mib": {key: list(interval(value, situations[key], other.get(key))) for key, value in memory.items()},
    }


def _situation(key: str, facts: ModelFacts, kind: str) -> Situation:
    if key == "weights_gpu":
        return "vllm weights as published" if kind in ("bf16", "fp16", "fp32") else "vllm weights quantized"
    plain = not facts.recurrent and not facts.local
    return "vllm tokens of one kind of layer" if plain else "vllm tokens of a hybrid"


def _other(
    name: str, facts: ModelFacts, kind: str, started: Started, given: float | None, settings: dict[str, Any]
) -> dict[str, float]:
    """The same with drafting off, where it was only supposed to be on."""
    if not (started.draft_tokens or started.drafter):
        return {}
    alone = msgspec.structs.replace(started, draft_tokens=0, drafter=False)
    return _memory(name, facts, kind, alone, given, settings)


def _memory(
    name: str, facts: ModelFacts, kind: str, started: Started, given: float | None, settings: dict[str, Any]
) -> dict[str, float]:
    memory: dict[str, float] = {}
    batched = settings.get("max_num_batched_tokens")
    weights = loaded_bytes(name, facts, kind, started, batched, _text_only(facts, started, given, settings))
    if weights is not None:
        memory["weights_gpu"] = weights / MIB
    if given and given > 0:
        memory["kv_tokens"] = capacity_tokens(facts, started, given * MIB)
    if settings.get("ctx"):
        memory["kv_needed_for_max_len"] = request_bytes(facts, started) / MIB
    return memory


def _text_only(facts: ModelFacts, started: Started, given: float | None, settings: dict[str, Any]) -> bool:
    """Whether a model with an image encoder was started without it.

    Between weights and cache a start-up prints the budget of the encoder's cache, unless no images are allowed.
    """
    if facts.vision is None or given is None or not settings.get("ctx") or settings.get("encoder_budget_tokens"):
        return False
    return started.version >= ENCODER_BUDGET_SINCE


def _started(name: str, facts: ModelFacts, kind: str, settings: dict[str, Any], version: str | None) -> Started:
    numbers = release(version)
    element = 4.0 if "float32" in str(settings.get("dtype")) else 2.0
    cache = cache_width(settings.get("kv_type"), element)
    scaled = kind.startswith("nvfp4") and name.lower().startswith(FP8_CACHE_PUBLISHERS)
    if settings.get("kv_type") in (None, "auto") and (
        scaled or (facts.family in FP8_CACHE_FAMILIES and kind not in ("bf16", "fp16"))
    ):
        cache = 1.0
    drafting = facts.mtp_layers > 0 and (not numbers or numbers >= DRAFTING_SINCE)
    batched = settings.get("max_num_batched_tokens") or DEFAULT_BATCHED_TOKENS
    return Started(
        max_length=settings.get("ctx") or facts.max_context or 4096,
        tensor_parallel=settings.get("tensor_parallel") or 1,
        pipeline_parallel=settings.get("pipeline_parallel") or 1,
        version=numbers,
        cache_bytes=cache,
        model_bytes=element,
        batched_tokens=max(batched, settings.get("encoder_budget_tokens") or 0),
        prefix_caching=bool(settings.get("enable_prefix_caching")),
        draft_tokens=DRAFT_TOKENS if drafting else 0,
        drafter=facts.drafter is not None and (not numbers or numbers >= DRAFTER_SINCE),
    )
