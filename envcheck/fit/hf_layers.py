"""Which layer is what: the layer patterns that configurations spell out or imply.

Letters as in `envcheck.schema.model.ModelFacts`. The implied ones are the defaults of
`configuration_<model_type>.py` in https://github.com/huggingface/transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envcheck.schema.errors import InputError

_LETTER_OF = {
    "full_attention": "a", "attention": "a", "global": "a", "*": "a", "sliding_attention": "s",
    "chunked_attention": "s", "linear_attention": "r", "mamba": "r", "conv": "r", "deepseek_sparse_attention": "l",
    "M": "r", "-": "-", "E": "-", "recurrent": "r",
}  # fmt: skip
_LATENT = frozenset(
    {"deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2", "glm_moe_dsa", "glm4_moe_lite", "minicpm3"}
)
_ALWAYS_WINDOW = frozenset({"mistral", "mixtral", "phi3", "starcoder2", "ministral"})


def mixer_pattern(config: Mapping[str, Any], model_type: str, layers: int) -> str:
    """One letter per layer for what mixes tokens there.

    Raises InputError when the listed layer types are unknown or not as many as there are layers.
    """
    listed = config.get("hybrid_override_pattern") or config.get("layer_types") or config.get("layers_block_type")
    if listed:
        return _from_list(listed, layers)
    if config.get("block_configs"):
        return "".join("-" if _no_attention(block) else "a" for block in config["block_configs"])
    if config.get("cross_attention_layers"):
        return "".join("x" if i in config["cross_attention_layers"] else "a" for i in range(layers))
    if model_type in _LATENT and config.get("kv_lora_rank"):
        return "l" * layers
    if model_type in ("mamba", "mamba2"):
        return "r" * layers
    if model_type == "falcon_h1":
        return "p" * layers
    if model_type == "jamba":
        period, offset = config.get("attn_layer_period", 8), config.get("attn_layer_offset", 4)
        return "".join("a" if i % period == offset else "r" for i in range(layers))
    if model_type in ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"):
        return _every(config.get("full_attention_interval", 4), layers, "r")
    return _windows(config, model_type, layers)


def _no_attention(block: Mapping[str, Any]) -> bool:
    attention = block.get("attention") or {}
    return bool(attention.get("no_op") or attention.get("replace_with_linear"))


def _from_list(listed: Any, layers: int) -> str:
    letters = []
    for name in listed:
        letter = _LETTER_OF.get(name)
        if letter is None:
            raise InputError(f"config.json: layer type {name!r} is not one envcheck can size")
        letters.append(letter)
    if len(letters) != layers:
        raise InputError(f"config.json: {len(letters)} layer types for {layers} layers")
    return "".join(letters)


def _every(interval: int, layers: int, other: str) -> str:
    """Full attention in every `interval`-th layer, `other` in between."""
    return "".join("a" if (i + 1) % interval == 0 else other for i in range(layers))


def _windows(config: Mapping[str, Any], model_type: str, layers: int) -> str:
    window = config.get("sliding_window")
    if model_type == "gemma2":
        return ("sa" * layers)[:layers]
    if model_type in ("gemma3_text", "cohere2"):
        default = 6 if model_type == "gemma3_text" else 4
        return _every(config.get("sliding_window_pattern") or default, layers, "s")
    if model_type == "llama4_text":
        return _every(4, layers, "s") if config.get("attention_chunk_size", 8192) else "a" * layers
    pattern = config.get("sliding_window_pattern")
    if isinstance(pattern, str) and window:
        return "".join("s" if pattern[i % len(pattern)] == "L" else "a" for i in range(layers - 1)) + "a"
    if model_type in _ALWAYS_WINDOW and window and window < config.get("max_position_embeddings", 0):
        return "s" * layers
    if model_type in ("qwen2", "qwen3") and config.get("use_sliding_window") and window:
        full = int(config.get("max_window_layers", layers))
        return "a" * min(full, layers) + "s" * max(layers - full, 0)
    return "a" * layers


def feed_forward_pattern(config: Mapping[str, Any], model_type: str, layers: int) -> str:
    """One letter per layer for its feed-forward block."""
    hybrid = config.get("hybrid_override_pattern")
    if isinstance(hybrid, str):
        return "".join({"-": "d", "E": "e"}.get(letter, "-") for letter in hybrid)
    if model_type in ("mamba", "mamba2"):
        return "-" * layers
    experts = next((config[k] for k in _EXPERT_KEYS if config.get(k)), 0)
    if model_type == "gemma4_text":
        return ("b" if config.get("enable_moe_block") else "d") * layers
    if not experts or model_type == "granitemoehybrid":
        return ("d" if not experts else "e") * layers
    if model_type == "jamba":
        period, offset = config.get("expert_layer_period", 2), config.get("expert_layer_offset", 1)
        return "".join("e" if i % period == offset else "d" for i in range(layers))
    if model_type == "llama4_text":
        step = config.get("interleave_moe_layer_step", 1)
        return "".join("e" if (i + 1) % step == 0 else "d" for i in range(layers))
    dense = config.get("first_k_dense_replace") or config.get("num_dense_layers") or 0
    step = config.get("decoder_sparse_step") or 1
    only_dense = set(config.get("mlp_only_layers") or ())
    return "".join("d" if i < dense or i in only_dense or (i + 1) % step else "e" for i in range(layers))


_EXPERT_KEYS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")


def compress(letters: str) -> str:
    """The shortest pattern that `envcheck.schema.model.expand` turns back into these letters."""
    for period in range(1, min(len(letters), 13)):
        unit = letters[:period]
        if (unit * (len(letters) // period + 1))[: len(letters)] == letters:
            return unit
    runs: list[list[Any]] = []
    for letter in letters:
        if runs and runs[-1][0] == letter:
            runs[-1][1] += 1
        else:
            runs.append([letter, 1])
    if len(runs) > 6:
        return letters
    return " ".join([f"{letter}{times}" for letter, times in runs[:-1]] + [runs[-1][0]])
