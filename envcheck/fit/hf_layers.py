"""Which layer is what: the layer patterns that configurations spell out or imply.

Letters as in `envcheck.schema.model.ModelFacts`. The implied ones are the defaults of
`configuration_<model_type>.py` in https://github.com/huggingface/transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from envcheck.schema.errors import InputError

MAX_LAYERS = 4096
"""More layers than any model has (the deepest have under 200)."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Step = Annotated[int, msgspec.Meta(ge=1, le=MAX_LAYERS)]
Names = Annotated[list[str], msgspec.Meta(max_length=MAX_LAYERS)]
Counts = Annotated[list[Count], msgspec.Meta(max_length=MAX_LAYERS)]


class AttentionBlock(msgspec.Struct):
    """The attention half of one DeciLM block."""

    n_heads_in_group: Step | None = None
    no_op: bool = False
    replace_with_linear: bool = False


class FeedForwardBlock(msgspec.Struct):
    """The feed-forward half of one DeciLM block."""

    ffn_mult: Annotated[float, msgspec.Meta(ge=0, le=1024)] | None = None


class Block(msgspec.Struct):
    """One DeciLM block (Nemotron Super, Ultra)."""

    attention: AttentionBlock = msgspec.field(default_factory=AttentionBlock)
    ffn: FeedForwardBlock = msgspec.field(default_factory=FeedForwardBlock)


class LayerKeys(msgspec.Struct):
    """The keys of a configuration that say which layer is what; others are passed over."""

    layer_types: Names | None = None
    layers_block_type: Names | None = None
    hybrid_override_pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LAYERS)] | None = None
    block_configs: Annotated[list[Block], msgspec.Meta(max_length=MAX_LAYERS)] | None = None
    cross_attention_layers: Counts | None = None
    mlp_only_layers: Counts | None = None
    num_attention_heads_per_layer: Counts | None = None
    kv_lora_rank: Count | None = None
    sliding_window: Count | None = None
    sliding_window_pattern: Step | Annotated[str, msgspec.Meta(min_length=1)] | None = None
    use_sliding_window: bool | None = None
    max_window_layers: Count | None = None
    max_position_embeddings: Count | None = None
    attention_chunk_size: Count | None = 8192
    full_attention_interval: Step | None = 4
    attn_layer_period: Step | None = 8
    attn_layer_offset: Count | None = 4
    expert_layer_period: Step | None = 2
    expert_layer_offset: Count | None = 1
    interleave_moe_layer_step: Step | None = 1
    decoder_sparse_step: Step | None = 1
    first_k_dense_replace: Count | None = None
    num_dense_layers: Count | None = None
    enable_moe_block: bool | None = None
    num_experts: Count | None = None
    n_routed_experts: Count | None = None
    num_local_experts: Count | None = None
    moe_num_experts: Count | Counts | None = None


_LETTER_OF = {
    "full_attention": "a", "attention": "a", "global": "a", "*": "a", "sliding_attention": "s",
    "chunked_attention": "s", "linear_attention": "r", "mamba": "r", "conv": "r", "deepseek_sparse_attention": "l",
    "M": "r", "-": "-", "E": "-", "recurrent": "r", "moe": "-", "mlp": "-",
}  # fmt: skip
_LATENT = frozenset(
    {"deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2", "glm_moe_dsa", "glm4_moe_lite", "minicpm3"}
)
_ALWAYS_WINDOW = frozenset({"mistral", "mixtral", "phi3", "starcoder2", "ministral"})


def layer_keys(config: Mapping[str, Any], where: str) -> LayerKeys:
    """Those keys of a configuration, checked. Raises InputError with the key and what is wrong with it."""
    try:
        return msgspec.convert(dict(config), LayerKeys)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {error}") from error


def mixer_pattern(keys: LayerKeys, model_type: str, layers: int) -> str:
    """One letter per layer for what mixes tokens there.

    Raises InputError when the listed layer types are unknown or not as many as there are layers.
    """
    listed = keys.hybrid_override_pattern or keys.layer_types or keys.layers_block_type
    if listed:
        return _from_list(listed, layers)
    if keys.block_configs:
        return _counted("".join("-" if _no_attention(block) else "a" for block in keys.block_configs), layers)
    if keys.cross_attention_layers:
        return "".join("x" if i in keys.cross_attention_layers else "a" for i in range(layers))
    if model_type in _LATENT and keys.kv_lora_rank:
        return "l" * layers
    if model_type in ("mamba", "mamba2"):
        return "r" * layers
    if model_type == "falcon_h1":
        return "p" * layers
    if model_type == "jamba":
        period, offset = keys.attn_layer_period or 8, keys.attn_layer_offset or 0
        return "".join("a" if i % period == offset else "r" for i in range(layers))
    if model_type in ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"):
        return _every(keys.full_attention_interval or 4, layers, "r")
    return _windows(keys, model_type, layers)


def _no_attention(block: Block) -> bool:
    return block.attention.no_op or block.attention.replace_with_linear


def _counted(letters: str, layers: int) -> str:
    if len(letters) != layers:
        raise InputError(f"config.json: {len(letters)} layer types for {layers} layers")
    return letters


def _from_list(listed: list[str] | str, layers: int) -> str:
    unknown = next((name for name in listed if name not in _LETTER_OF), None)
    if unknown is not None:
        raise InputError(f"config.json: layer type {unknown!r} is not one envcheck can size")
    return _counted("".join(_LETTER_OF[name] for name in listed), layers)


def _every(interval: int, layers: int, other: str) -> str:
    """Full attention in every `interval`-th layer, `other` in between."""
    return "".join("a" if (i + 1) % interval == 0 else other for i in range(layers))


def _windows(keys: LayerKeys, model_type: str, layers: int) -> str:
    window, pattern = keys.sliding_window, keys.sliding_window_pattern
    if model_type == "gemma2":
        return ("sa" * layers)[:layers]
    if model_type in ("gemma3_text", "cohere2"):
        default = 6 if model_type == "gemma3_text" else 4
        return _every(pattern if isinstance(pattern, int) else default, layers, "s")
    if model_type == "llama4_text":
        return _every(4, layers, "s") if keys.attention_chunk_size else "a" * layers
    if isinstance(pattern, str) and window:
        return "".join("s" if pattern[i % len(pattern)] == "L" else "a" for i in range(layers - 1)) + "a"
    if model_type in _ALWAYS_WINDOW and window and window < (keys.max_position_embeddings or 0):
        return "s" * layers
    if model_type in ("qwen2", "qwen3") and keys.use_sliding_window and window:
        full = layers if keys.max_window_layers is None else keys.max_window_layers
        return "a" * min(full, layers) + "s" * max(layers - full, 0)
    return "a" * layers


def feed_forward_pattern(keys: LayerKeys, model_type: str, layers: int) -> str:
    """One letter per layer for its feed-forward block."""
    if keys.hybrid_override_pattern:
        return "".join({"-": "d", "E": "e"}.get(letter, "-") for letter in keys.hybrid_override_pattern)
    if model_type == "nemotron_h" and keys.layers_block_type:
        return "".join({"mlp": "d", "moe": "e"}.get(name, "-") for name in keys.layers_block_type)
    if model_type in ("mamba", "mamba2"):
        return "-" * layers
    if model_type == "gemma4_text":
        return ("b" if keys.enable_moe_block else "d") * layers
    experts = keys.num_experts or keys.n_routed_experts or keys.num_local_experts or keys.moe_num_experts
    if not experts or model_type == "granitemoehybrid":
        return ("d" if not experts else "e") * layers
    if model_type == "jamba":
        period, offset = keys.expert_layer_period or 2, keys.expert_layer_offset or 0
        return "".join("e" if i % period == offset else "d" for i in range(layers))
    if model_type == "llama4_text":
        return _every(keys.interleave_moe_layer_step or 1, layers, "d").replace("a", "e")
    dense = keys.first_k_dense_replace or keys.num_dense_layers or 0
    step, only = keys.decoder_sparse_step or 1, set(keys.mlp_only_layers or ())
    return "".join("d" if i < dense or i in only or (i + 1) % step else "e" for i in range(layers))


def compress(letters: str) -> str:
    """The shortest pattern that `envcheck.schema.model.expand` turns back into these letters."""
    for period in range(1, min(len(letters), 13)):
        unit = letters[:period]
        if (unit * (len(letters) // period + 1))[: len(letters)] == letters:
            return unit
    runs: list[tuple[str, int]] = []
    for letter in letters:
        if runs and runs[-1][0] == letter:
            runs[-1] = (letter, runs[-1][1] + 1)
        else:
            runs.append((letter, 1))
    if len(runs) > 6 or not runs:
        return letters
    return " ".join([f"{letter}{times}" for letter, times in runs[:-1]] + [runs[-1][0]])
