"""What differs by layer, the experts and the recurrent layers of a Hugging Face configuration."""

from __future__ import annotations

from typing import Any

from envcheck.fit.hf_keys import Keys
from envcheck.fit.hf_layers import Block, LayerKeys
from envcheck.fit.hf_traits import Traits
from envcheck.schema.errors import InputError
from envcheck.schema.model import Experts, Recurrent


def layer_lists(keys: Keys, model_type: str, listed: LayerKeys, layers: int) -> dict[str, Any]:
    """Heads and widths where every layer has its own (DeciLM, Gemma 3n and 4)."""
    fields: dict[str, Any] = {}
    if listed.block_configs:
        fields.update(_block_lists(keys, listed.block_configs))
    widths = keys.value("intermediate_size")
    if isinstance(widths, list):
        if len(widths) != layers:
            raise InputError(f"{keys.where}: intermediate_size lists {len(widths)} widths for {layers} layers")
        fields["ffn_by_layer"] = tuple(widths) if len(set(widths)) > 1 else ()
    shared = keys.count("num_kv_shared_layers", 0)
    if shared > layers:
        raise InputError(f"{keys.where}: {shared} of {layers} layers share keys and values")
    if shared:
        fields["shared_kv_layers"] = shared
        fields["shared_kv_weights"] = model_type == "gemma3n_text"
        if keys.flag("use_double_wide_mlp"):
            ffn = keys.positive("intermediate_size")
            fields["ffn_by_layer"] = (ffn,) * (layers - shared) + (2 * ffn,) * shared
    return fields


def _block_lists(keys: Keys, blocks: list[Block]) -> dict[str, Any]:
    """DeciLM (Nemotron Super, Ultra): every block says its own head groups and width."""
    heads, hidden = keys.positive("num_attention_heads"), keys.positive("hidden_size")
    kv_heads, widths = [], []
    for block in blocks:
        group, multiple = block.attention.n_heads_in_group, block.ffn.ffn_mult
        kv_heads.append(heads // group if group else 0)
        widths.append(-(-int(2 * multiple * hidden / 3) // 256) * 256 if multiple else 0)
    return {"kv_heads_by_layer": tuple(kv_heads), "ffn_by_layer": tuple(widths)}


def experts_field(keys: Keys, traits: Traits, model_type: str) -> dict[str, Any]:
    count = keys.count("num_experts", 0)
    if not count or (model_type == "gemma4_text" and not keys.flag("enable_moe_block")):
        return {}
    ffn = keys.count("moe_intermediate_size", keys.count("intermediate_size", 0))
    shared = keys.count("moe_shared_expert_intermediate_size", keys.count("shared_expert_intermediate_size", 0))
    if not shared and model_type != "minimax_m2":
        shared = keys.count("n_shared_experts", keys.count("num_shared_experts", 0)) * ffn
    if model_type == "llama4_text":
        shared = ffn
    if model_type in ("granitemoehybrid", "granitemoeshared"):
        shared = keys.count("shared_intermediate_size", 0)
    experts = Experts(
        count=count, used=keys.positive("num_experts_per_tok"), ffn=ffn, shared_ffn=shared,
        shared_gate=traits.shared_gate, router_bias=traits.router_bias or model_type == "nemotron_h" or
        keys.flag("moe_router_enable_expert_bias"), bias=traits.expert_bias, latent=keys.count("moe_latent_size", 0),
    )  # fmt: skip
    return {"experts": experts}


def recurrent_field(keys: Keys, model_type: str, mixers: str) -> dict[str, Any]:
    if not set(mixers) & set("rp"):
        return {}
    hidden = keys.positive("hidden_size")
    if keys.value("linear_num_value_heads"):
        heads = keys.positive("linear_num_value_heads")
        return {"recurrent": Recurrent(
            kind="gated_delta_net", inner=heads * keys.positive("linear_value_head_dim"),
            state=keys.positive("linear_key_head_dim"), conv=keys.positive("linear_conv_kernel_dim"), heads=heads,
            groups=keys.positive("linear_num_key_heads"), conv_bias=False, norm=True,
        )}  # fmt: skip
    if model_type in ("lfm2", "lfm2_moe"):
        conv = keys.positive("conv_L_cache")
        return {"recurrent": Recurrent(kind="short_conv", inner=hidden, conv=conv, conv_bias=False)}
    if model_type in ("mamba", "jamba"):
        return {"recurrent": _mamba1(keys, hidden, model_type)}
    return {"recurrent": _mamba2(keys, model_type)}


def _mamba1(keys: Keys, hidden: int, model_type: str) -> Recurrent:
    jamba = model_type == "jamba"
    inner = keys.count("mamba_expand", 2) * hidden if jamba else keys.count("intermediate_size", 2 * hidden)
    rank = keys.value("mamba_dt_rank" if jamba else "time_step_rank")
    return Recurrent(
        kind="mamba", inner=inner, state=keys.count("mamba_d_state" if jamba else "state_size", 16),
        conv=keys.count("mamba_d_conv" if jamba else "conv_kernel", 4),
        dt_rank=rank if isinstance(rank, int) else -(-hidden // 16), conv_bias=True, norm=jamba,
    )  # fmt: skip


def _mamba2(keys: Keys, model_type: str) -> Recurrent:
    heads = keys.value("mamba_num_heads") or keys.value("mamba_n_heads") or keys.positive("num_heads")
    width = keys.value("mamba_head_dim") or keys.value("mamba_d_head") or keys.positive("head_dim")
    return Recurrent(
        kind="mamba2", inner=int(heads) * int(width),
        state=keys.count("ssm_state_size", keys.count("mamba_d_state", keys.count("state_size", 128))),
        conv=keys.count("conv_kernel", keys.count("mamba_d_conv", 4)), heads=int(heads),
        groups=keys.count("n_groups", keys.count("mamba_n_groups", 1)), conv_bias=keys.flag("use_conv_bias", True),
        norm=keys.flag("mamba_rms_norm") if model_type == "falcon_h1" else True,
    )  # fmt: skip
