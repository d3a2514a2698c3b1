"""Architecture facts from a Hugging Face `config.json`.

The keys are those of `configuration_<model_type>.py` in https://github.com/huggingface/transformers and of the
publishers' own configuration files; what the file leaves to the code is in `envcheck.fit.hf_traits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envcheck.fit.hf_attention import attention_fields
from envcheck.fit.hf_blocks import experts_field, layer_lists, recurrent_field
from envcheck.fit.hf_keys import Config, Keys
from envcheck.fit.hf_layers import MAX_LAYERS, compress, feed_forward_pattern, layer_keys, mixer_pattern
from envcheck.fit.hf_traits import TRAITS, Traits
from envcheck.fit.vision import vision_from
from envcheck.schema.errors import InputError
from envcheck.schema.model import ModelFacts, Part


def facts_from_config(config: Config, name: str, where: str = "config.json") -> ModelFacts:
    """The facts that a parsed `config.json` states about a model called `name`.

    Raises InputError with one sentence when a needed key is missing, contradictory or of the wrong kind, or when the
    `model_type` is one whose layers are not known here.
    """
    if not isinstance(config, Mapping):
        raise InputError(f"{where}: not a JSON object")
    text, model_type = _text_part(config, where)
    traits = TRAITS.get(model_type)
    if traits is None:
        raise InputError(f"{where}: model_type {model_type!r} is not one envcheck can size")
    keys = Keys(text, dict(traits.defaults), where)
    layers = _layer_count(keys, model_type)
    listed = layer_keys(text, where)
    mixers = mixer_pattern(listed, model_type, layers)
    return ModelFacts(
        name=name,
        family=str(config.get("model_type", model_type)).split("_")[0],
        architecture=model_type.removesuffix("_text"),
        hidden=keys.positive("hidden_size"),
        layer_count=layers,
        vocab=keys.positive("vocab_size"),
        max_context=keys.count("max_position_embeddings", 0),
        ffn=_ffn(keys, model_type),
        mixers=compress(mixers),
        feed_forward=compress(feed_forward_pattern(listed, model_type, layers)),
        tied=_tied(config, text, traits),
        norms=_norms(keys, traits, model_type),
        mtp_layers=_mtp(keys),
        mtp_vocabulary=model_type in ("deepseek_v3", "deepseek_v32", "glm4_moe", "glm4_moe_lite"),
        extra_per_layer=_extra(keys, model_type),
        vision=vision_from(config, keys.positive("hidden_size")),
        parts=_parts(keys, model_type),
        **attention_fields(keys, traits, model_type, mixers, listed),
        **layer_lists(keys, model_type, listed, layers),
        **experts_field(keys, traits, model_type),
        **recurrent_field(keys, model_type, mixers),
        **_edge_fields(keys, traits, model_type),
    )


def _text_part(config: Config, where: str) -> tuple[Config, str]:
    """The language model's own section, and its model type."""
    model_type = str(config.get("model_type", ""))
    for key in ("text_config", "llm_config", "language_config"):
        inner = config.get(key)
        if isinstance(inner, Mapping) and inner:
            merged = dict(inner)
            for name in ("tie_word_embeddings", "quantization_config"):
                if name in config:
                    merged.setdefault(name, config[name])
            return merged, str(inner.get("model_type") or "llama")
    if not model_type:
        raise InputError(f"{where}: the key 'model_type' is missing")
    return config, _TEXT_OF.get(model_type, model_type)


_TEXT_OF = {"qwen2_vl": "qwen2", "qwen2_5_vl": "qwen2", "phi3_v": "phi3", "llava": "llama", "minicpmv": "qwen2"}


def _layer_count(keys: Keys, model_type: str) -> int:
    pattern = keys.value("hybrid_override_pattern")
    listed = keys.value("layers_block_type")
    if isinstance(pattern, str) and pattern:
        return len(pattern)
    if isinstance(listed, list) and listed:
        return len(listed)
    layers = keys.positive("num_layers" if model_type == "chatglm" else "num_hidden_layers")
    if layers > MAX_LAYERS:
        raise InputError(f"{keys.where}: {layers} layers are more than any model has")
    return layers


def _ffn(keys: Keys, model_type: str) -> int:
    hidden = keys.positive("hidden_size")
    if model_type in ("mamba", "mamba2") or keys.value("block_configs"):
        return 0
    if model_type == "qwen":
        return keys.positive("intermediate_size") // 2  # Qwen 1 counts gate and up together
    if model_type == "mpt":
        return hidden * keys.count("expansion_ratio", 4)
    if model_type == "llama4_text":
        return keys.count("intermediate_size_mlp", keys.count("intermediate_size"))
    if model_type in ("gpt2", "gpt_bigcode", "bloom", "falcon", "gptj", "gpt_neo", "openelm"):
        return keys.count("intermediate_size", 4 * hidden)
    if model_type in ("granitemoehybrid", "granitemoeshared"):
        return keys.count("shared_intermediate_size", keys.count("intermediate_size"))
    return keys.count("intermediate_size", 0 if keys.value("num_experts") else None)


def _tied(config: Config, text: Config, traits: Traits) -> bool:
    for section in (text, config):
        value = section.get("tie_word_embeddings")
        if isinstance(value, bool):
            return value
    return traits.tied


def _norms(keys: Keys, traits: Traits, model_type: str) -> int:
    parallel = keys.flag("use_parallel_residual") if model_type == "stablelm" else False
    if model_type == "falcon":
        parallel = not keys.flag("new_decoder_architecture") and keys.flag("parallel_attn", True)
    if model_type == "gemma4_text" and keys.flag("enable_moe_block"):
        return 7  # two more before and after the experts, beside the dense block
    return 1 if parallel else traits.norms


def _parts(keys: Keys, model_type: str) -> tuple[Part, ...]:
    """Whisper's encoder: two convolutions, positions, blocks whose keys have no bias, a norm."""
    if model_type != "whisper":
        return ()
    width, layers = keys.positive("hidden_size"), keys.count("encoder_layers", keys.positive("num_hidden_layers"))
    ffn, positions = keys.count("encoder_ffn_dim", 4 * width), keys.count("max_source_positions", 1500)
    convolutions = 3 * width * (keys.count("num_mel_bins", 80) + width) + 2 * width
    block = 4 * width * width + 3 * width + 2 * width * ffn + ffn + width + 4 * width
    return (Part(name="audio encoder", parameters=convolutions + positions * width + layers * block + 2 * width),)


def _extra(keys: Keys, model_type: str) -> int:
    hidden = keys.positive("hidden_size")
    if model_type == "gemma4_text":  # layer scale; scales of the router and of each expert
        return 1 + (hidden + keys.count("num_experts") if keys.flag("enable_moe_block") else 0)
    if model_type == "gemma3n_text":  # AltUp's router, coefficients and scale; LAuReL's two projections and norm
        side, rank = keys.count("altup_num_inputs", 4), keys.count("laurel_rank", 64)
        return hidden * (side + 2) + side**2 + side**3 + 2 * hidden * rank + hidden
    return 0


def _mtp(keys: Keys) -> int:
    return keys.count("num_nextn_predict_layers", keys.count("mtp_num_hidden_layers", 0))


def _edge_fields(keys: Keys, traits: Traits, model_type: str) -> dict[str, Any]:
    """What stands before and after the stack, and the shape of the feed-forward block."""
    hidden, context = keys.positive("hidden_size"), keys.count("max_position_embeddings", 0)
    bias = (
        traits.mlp_bias if traits.mlp_bias is not None else keys.flag("bias" if model_type == "falcon" else "mlp_bias")
    )
    width = keys.value("word_embed_proj_dim")
    fields: dict[str, Any] = {
        "gated": traits.gated, "mlp_bias": bias, "norm_bias": traits.norm_bias, "final_norm": traits.final_norm,
        "embedding_norm": traits.embedding_norm, "head_bias": traits.head_bias, "role": traits.role,
        "position_rows": 0 if traits.position_extra is None else context + traits.position_extra,
        "token_types": keys.count("type_vocab_size", 0) if traits.role == "encoder" else 0,
        "per_layer_width": keys.count("hidden_size_per_layer_input", 0),
    }  # fmt: skip
    if fields["per_layer_width"]:
        fields["per_layer_vocab"] = keys.positive("vocab_size_per_layer_input")
    if width and width != hidden:
        fields["embedding_width"] = int(width)
        fields["final_norm"] = keys.flag("do_layer_norm_before", True)
    return fields
