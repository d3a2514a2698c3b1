"""The attention facts of a Hugging Face configuration: heads, widths, windows, biases."""

from __future__ import annotations

from typing import Any

from envcheck.fit.hf_keys import Keys
from envcheck.fit.hf_layers import LayerKeys
from envcheck.fit.hf_traits import Traits
from envcheck.schema.errors import InputError
from envcheck.schema.model import Attention, LatentAttention


def attention_fields(keys: Keys, traits: Traits, model_type: str, mixers: str, listed: LayerKeys) -> dict[str, Any]:
    """The attention records of a configuration whose layers are `mixers`."""
    if not set(mixers) & set("aslpx"):
        return {}
    if "l" in mixers:
        return {"latent": _latent(keys)}
    heads = keys.positive("num_attention_heads")
    key_dim = _head_width(keys, model_type, heads)
    bias = traits.qkv_bias if traits.qkv_bias is not None else _biased(keys, model_type)
    out_bias = traits.out_bias
    if out_bias is None:
        out_bias = _biased(keys, model_type)
    kind = {
        "heads": heads, "kv_heads": _kv_heads(keys, model_type, heads), "key_dim": key_dim, "q_bias": bias,
        "kv_bias": bias, "out_bias": out_bias, "qk_norm": _qk_norm(keys, traits, model_type),
        "output_gate": traits.output_gate, "sinks": traits.sinks, "no_key_bias": traits.no_key_bias,
        "qk_norm_bias": traits.qk_norm_bias,
        "head_gate": keys.value("gating") == "per-head",
    }  # fmt: skip
    fields: dict[str, Any] = {}
    window = _window(keys, model_type)
    by_layer = listed.num_attention_heads_per_layer
    if "s" in mixers:
        local_heads = by_layer[mixers.index("s")] if by_layer and len(by_layer) == len(mixers) else heads
        fields["local"] = Attention(
            **{**kind, "heads": local_heads}, window=window, chunked=model_type == "llama4_text"
        )
    if model_type == "whisper":
        fields["cross_attention"], fields["encoder_tokens"] = Attention(**kind), 1500
    if set(mixers) & set("apx"):
        fields["attention"] = Attention(**{**kind, **_global_changes(keys, model_type)})
    return fields


def _kv_heads(keys: Keys, model_type: str, heads: int) -> int:
    if model_type == "falcon":
        return keys.count("num_key_value_heads", heads) if keys.flag("new_decoder_architecture") else 1
    if model_type == "gpt_bigcode":
        return 1 if keys.flag("multi_query", True) else heads
    kv_heads = keys.count("num_key_value_heads", heads)
    if kv_heads and heads % kv_heads:
        raise InputError(f"{keys.where}: {heads} attention heads cannot be shared by {kv_heads} key-value heads")
    return kv_heads


def _biased(keys: Keys, model_type: str) -> bool:
    key = {"falcon": "bias", "chatglm": "add_qkv_bias", "stablelm": "use_qkv_bias", "qwen": "no_bias"}.get(model_type)
    return keys.flag(key or "attention_bias")


def _qk_norm(keys: Keys, traits: Traits, model_type: str) -> str:
    if model_type in ("glm4_moe", "cohere", "hunyuan_v1_dense", "hunyuan_v1_moe", "bailing_moe"):
        on = keys.flag("use_qk_norm")
        return ("full" if model_type == "cohere" else "head") if on else "none"
    if model_type == "stablelm":
        return "full" if keys.flag("qk_layernorm") else "none"
    return traits.qk_norm


def _head_width(keys: Keys, model_type: str, heads: int) -> int:
    if keys.value("head_dim") is not None:
        return keys.positive("head_dim")
    if model_type in ("chatglm", "qwen") and keys.value("kv_channels") is not None:
        return keys.positive("kv_channels")
    if model_type == "nemotron_h" and keys.value("attention_head_dim") is not None:
        return keys.positive("attention_head_dim")
    hidden = keys.positive("hidden_size")
    if hidden % heads:
        raise InputError(
            f"{keys.where}: hidden_size {hidden} is not a multiple of {heads} attention heads, no head_dim"
        )
    return hidden // heads


def _window(keys: Keys, model_type: str) -> int | None:
    if model_type == "llama4_text":
        return keys.count("attention_chunk_size", 8192)
    window = keys.value("sliding_window")
    return keys.positive("sliding_window") if window is not None else None


def _global_changes(keys: Keys, model_type: str) -> dict[str, Any]:
    """Where layers with full attention differ from the local ones (Gemma 4)."""
    if model_type != "gemma4_text":
        return {}
    same = keys.flag("attention_k_eq_v")
    kv_heads = keys.count("num_global_key_value_heads", keys.count("num_key_value_heads"))
    return {
        "key_dim": keys.count("global_head_dim", keys.count("head_dim")),
        "kv_heads": kv_heads if same else keys.count("num_key_value_heads"),
        "keys_are_values": same,
    }


def _latent(keys: Keys) -> LatentAttention:
    return LatentAttention(
        heads=keys.positive("num_attention_heads"),
        kv_rank=keys.positive("kv_lora_rank"),
        rope_dim=keys.positive("qk_rope_head_dim"),
        nope_dim=keys.positive("qk_nope_head_dim"),
        value_dim=keys.positive("v_head_dim"),
        q_rank=keys.positive("q_lora_rank") if keys.value("q_lora_rank") else None,
        index_heads=keys.count("index_n_heads", 0),
        index_dim=keys.count("index_head_dim", 0),
    )
