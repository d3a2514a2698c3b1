"""The shape of a model for speed: from its architecture facts, or from a name and the parameter counts beside it.

A name that states its size ("Qwen3-30B-A3B") is enough for an estimate: layers follow parameters closely over all
published decoder families, and so does the cache, except where a family is known to be different.
"""

from __future__ import annotations

import re
from functools import cache

from envcheck.fit.models import catalog, find
from envcheck.fit.tensors import Part, active_parameters, parameters
from envcheck.schema.model import Attention, LatentAttention, ModelFacts, ResolvedModel
from envcheck.schema.speed import ModelShape

_SIZE = re.compile(r"(?<![a-z0-9.])(\d{1,4}(?:\.\d+)?)\s?b(?![a-z])", re.IGNORECASE)
_ACTIVE = re.compile(r"(?<![a-z0-9])a(\d{1,3}(?:\.\d+)?)b", re.IGNORECASE)
_EFFECTIVE = re.compile(r"(?<![a-z0-9])e(\d)b", re.IGNORECASE)

# Well-known models whose name does not say both counts: billions in all, billions active. Model cards of the makers.
_NAMED = (
    (r"mixtral.{0,3}8x7b|mixtral 46", 46.7, 12.9),
    (r"mixtral.{0,3}8x22b", 140.6, 39.1),
    (r"gpt-?oss.{0,3}120b", 116.8, 5.1),
    (r"gpt-?oss.{0,3}20b", 20.9, 3.6),
    (r"hunyuan.{0,3}a13b", 80.4, 13.0),
    (r"dots\.?llm1", 142.8, 14.0),
    (r"llama-?\s?4.*(scout|16e)", 107.8, 17.0),
    (r"llama-?\s?4.*(maverick|128e)", 400.7, 17.0),
    (r"deepseek.{0,3}(r1|v3).{0,6}67?1?b|deepseek-(r1|v3)$", 671.0, 37.0),
    (r"minimax-?m2", 228.7, 10.0),
    (r"glm-?4\.5-?air", 106.0, 12.0),
)

# Multi-head attention without shared key-value heads, before 2024.
_OLD_ATTENTION = re.compile(
    r"llama[- ]?2?[-: ]?(chat[- ]?)?(7|13)b|llama2|vicuna|code-?llama[- ]?(7|13)b|(coder|ds)[:-]6\.7b|mpt|open-?llama"
    r"|alpaca|llama ?(7|13)b|codeqwen|phi-?[23]|gemma:7b"
)
_HYBRID = re.compile(r"qwen-?3\.?[56]|qwen3-?next|nemotron|granite-?4|lfm2|falcon-?h1|jamba|kimi-linear|bonsai-27b")
_KV_BYTES = 4096.0
"""Bytes per layer and token of 8 key-value heads of width 128 at 16 bits: what most models since 2024 have."""
_WINDOWED = re.compile(r"gemma-?[234]|gpt-?oss")
_LATENT = re.compile(r"deepseek-?2|deepseek-(v[23]|r1)|glm-?4\.7|kimi-k2")


_LOOKED_UP: tuple[Part, ...] = ("embedding", "position", "per_layer_embedding")
_BESIDE: tuple[Part, ...] = ("vision", "mtp")
_MXFP4_BITS = 4.25
"""32 weights of 4 bits share one scale of 8 bits (OCP Microscaling Formats, version 1.0)."""
_PRINTED = 0.0051
"""Half of the last printed decimal, billions."""
_SAME_MODEL = 0.1
"""A catalog entry whose parameters differ by more than this share from the stated count is another model."""


def shape_from_facts(facts: ModelFacts) -> ModelShape:
    """The shape of an architecture: text weights only, embedding rows that are not the head as unread."""
    parts = parameters(facts)
    stored = sum(count for part, count in parts.items() if part not in _BESIDE)
    unread = sum(parts.get(part, 0) for part in _LOOKED_UP)
    if facts.tied:
        unread -= parts.get("embedding", 0)
    full = local = full_bytes = local_bytes = 0.0
    window = width = 0
    for layer in facts.layers():
        kind = layer.attention
        if kind is None or layer.cross:
            continue
        cached = 0 if layer.shares_kv else 2 * kind.cached_elements
        width = max(width, _query_width(kind))
        if kind.window:
            local, local_bytes, window = local + 1, local_bytes + cached, kind.window
        else:
            full, full_bytes = full + 1, full_bytes + cached
    return ModelShape(
        params=stored,
        active_params=active_parameters(facts),
        layers=facts.layer_count,
        unread_params=unread,
        expert_params=parts.get("experts", 0),
        expert_share=facts.experts.used / facts.experts.count if facts.experts else 1.0,
        expert_bits=_MXFP4_BITS if facts.precision == "mxfp4" else None,
        kv_bytes_per_token=full_bytes,
        kv_local_bytes_per_token=local_bytes,
        window=window,
        width=width,
        attention_layers=full,
        local_layers=local,
    )


def _query_width(kind: Attention | LatentAttention) -> int:
    if isinstance(kind, LatentAttention):
        return kind.heads * (kind.nope_dim + kind.rope_dim)
    return kind.heads * kind.key_dim


@cache
def shape_of(name: str, params_b: float | None = None, active_b: float | None = None) -> ModelShape | None:
    """The catalog's shape of a model where it has one that agrees with the stated size, else what the name says."""
    known = find(name)
    if isinstance(known, ResolvedModel):
        shape = shape_from_facts(known.facts)
        if params_b is None or abs(shape.params / 1e9 - params_b) <= _SAME_MODEL * params_b:
            return shape
    counted = _by_count(name.lower(), params_b) if params_b else None
    return counted or shape_from_name(name, params_b, active_b)


def _by_count(said: str, params_b: float) -> ModelShape | None:
    """The shape of the one architecture with exactly this many parameters.

    llama.cpp prints an architecture and a count ("llama 8B", 8.03 B): to two decimals that is one model, if the family
    agrees, or if nothing else in the catalog has that count.
    """
    same = [(facts, shape) for facts, shape in _all_shapes() if abs(shape.params / 1e9 - params_b) <= _PRINTED]
    word = re.match(r"[a-z]{3,4}", said)
    family = [shape for facts, shape in same if word and word[0] in f"{facts.family} {facts.architecture}"]
    return family[0] if family else same[0][1] if len(same) == 1 else None


@cache
def _all_shapes() -> tuple[tuple[ModelFacts, ModelShape], ...]:
    return tuple((facts, shape_from_facts(facts)) for facts in catalog())


def shape_from_name(name: str, params_b: float | None = None, active_b: float | None = None) -> ModelShape | None:
    """The shape a name implies. Stated counts (billions) win over those read from the name. None: no size anywhere."""
    said = name.lower()
    total, active = params_b, active_b
    for pattern, named_total, named_active in _NAMED:
        if re.search(pattern, said):
            total, active = total or named_total, named_active
            break
    if total is None and (effective := _EFFECTIVE.search(said)):
        # Gemma's E2B and E4B: per-layer embeddings are looked up, the "effective" parameters are read.
        total = float(effective[1]) + 0.3
    if total is None and (size := _SIZE.search(said)):
        total = float(size[1])
    if not total:
        return None
    if active is None and (stated := _ACTIVE.search(said)):
        active = float(stated[1])
    return _guess(said, total * 1e9, min(active or total, total) * 1e9)


def _guess(said: str, params: float, active: float) -> ModelShape:
    """Layers, cache and attention of a decoder of this size: 32 layers at 7B, growing with its 0.4th power."""
    layers = 32.0 * ((params * active) ** 0.5 / 7e9) ** 0.4
    full, local, window = layers, 0.0, 0
    kv_bytes = _KV_BYTES
    if _OLD_ATTENTION.search(said) and params < 14e9 and "llama 3" not in said and "llama3" not in said:
        kv_bytes = 16384.0 * (params / 7e9) ** (1 / 3)
    elif _HYBRID.search(said):
        full, kv_bytes = layers * (0.125 if "nemotron" in said else 0.25), _KV_BYTES / 2
    elif "gpt" in said and "oss" in said:
        full, local, window, kv_bytes = layers / 2, layers / 2, 128, _KV_BYTES / 2
    elif _WINDOWED.search(said) and params > 2.6e9:
        full, local, window, kv_bytes = layers / 6, layers * 5 / 6, 1024, _KV_BYTES * 2
    elif _LATENT.search(said):
        kv_bytes = 1152.0
    return ModelShape(
        params=params,
        active_params=active,
        layers=layers,
        kv_bytes_per_token=kv_bytes * full,
        kv_local_bytes_per_token=kv_bytes * local,
        window=window,
        width=(active / (12.0 * layers)) ** 0.5,
        attention_layers=full,
        local_layers=local,
    )
