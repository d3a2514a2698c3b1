"""The models of the GPU acceptance run: catalog rows, and what Transformers needs to build them with random weights.

Only the standard library: this is also read where nothing but torch and transformers is installed.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CATALOG = ROOT / "requirements_matrix" / "models"
MODELS = {
    "Llama-3.1-8B": "llama",
    "Qwen2.5-7B": "qwen",
    "Mistral-7B-v0.3": "mistral",
    "Gemma-3-12B": "gemma",
    "Qwen2.5-14B": "qwen",
    "Qwen3-30B-A3B": "qwen",
}
"""Catalog name to the file it is in, smallest first so that a short budget still shows most."""
CONFIGS = {
    "llama": "LlamaConfig",
    "qwen2": "Qwen2Config",
    "mistral": "MistralConfig",
    "gemma3": "Gemma3TextConfig",
    "qwen3_moe": "Qwen3MoeConfig",
}
BYTES = 2
"""Of one bfloat16 element."""


def row(name: str) -> dict[str, Any]:
    """A model's catalog row."""
    text = (CATALOG / f"{MODELS[name]}.toml").read_text("utf-8")
    return next(found for found in tomllib.loads(text)["model"] if found["name"] == name)


def config(found: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name of the Transformers configuration class and its arguments for a catalog row (text part only)."""
    attention = found.get("attention") or found["local"]
    arguments: dict[str, Any] = {
        "vocab_size": found["vocab"],
        "hidden_size": found["hidden"],
        "intermediate_size": found["ffn"],
        "num_hidden_layers": found["layer_count"],
        "num_attention_heads": attention["heads"],
        "num_key_value_heads": attention["kv_heads"],
        "head_dim": attention["key_dim"],
        "max_position_embeddings": found["max_context"],
        "tie_word_embeddings": found.get("tied", False),
    }
    if found["architecture"] == "mistral":
        arguments["sliding_window"] = found.get("local", {}).get("window")
    if found["architecture"] == "gemma3":
        arguments |= {"sliding_window": found["local"]["window"], "query_pre_attn_scalar": attention["key_dim"]}
        arguments["layer_types"] = layer_types(found)
    if experts := found.get("experts"):
        arguments |= {"num_experts": experts["count"], "num_experts_per_tok": experts["used"], "norm_topk_prob": True}
        arguments["moe_intermediate_size"] = experts["ffn"]
    return CONFIGS[found["architecture"]], arguments


def layer_types(found: dict[str, Any]) -> list[str]:
    """Spelled out: which layers attend to a window only ("s") and which to everything ("a")."""
    pattern = found["mixers"]
    letters = (pattern * found["layer_count"])[: found["layer_count"]]
    return ["sliding_attention" if letter == "s" else "full_attention" for letter in letters]


def text_parameters(found: dict[str, Any]) -> int:
    """Published parameters without a vision tower."""
    return int(found["published_parameters"]) - int(found.get("vision", {}).get("parameters", 0))


def kv_bytes(found: dict[str, Any], tokens: int) -> int:
    """Keys and values of one sequence in bf16: 2 x heads x width per layer and token, windows counted at most once."""
    total = 0
    for kind in layer_types(found):
        shape = found.get("local") if kind == "sliding_attention" else found.get("attention")
        shape = shape or found.get("attention") or found["local"]
        # Transformers keeps one token less than the window: the current one completes it.
        kept = min(tokens, (shape.get("window") or tokens + 1) - 1) if kind == "sliding_attention" else tokens
        total += 2 * shape["kv_heads"] * shape["key_dim"] * kept * BYTES
    return total


def tiny(found: dict[str, Any]) -> dict[str, Any]:
    """The same architecture, small enough for a rehearsal on any processor."""
    small = dict(found)
    small |= {"vocab": 512, "hidden": 64, "ffn": 128, "layer_count": 6, "max_context": 512, "published_parameters": 0}
    small.pop("vision", None)
    for kind in ("attention", "local"):
        if kind in found:
            small[kind] = {**found[kind], "heads": 4, "kv_heads": 2, "key_dim": 16}
    if "local" in small:
        small["local"]["window"] = 24
    if "experts" in found:
        small["experts"] = {**found["experts"], "count": 8, "used": 2, "ffn": 32}
    return small
