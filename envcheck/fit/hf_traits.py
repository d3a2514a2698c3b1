"""What a Hugging Face `config.json` leaves to the modelling code, per `model_type`: biases, norms, tying, defaults.

Read from `src/transformers/models/<model_type>/modeling_*.py` and `configuration_*.py`
(https://github.com/huggingface/transformers, 2026-11-21); every row is held to real checkpoints by the tests that
compare the catalog's computed parameter counts with the published ones.
"""

from __future__ import annotations

from typing import Any, Literal

from envcheck.schema.facts import Record


class Traits(Record):
    """Defaults of one `model_type`. None for a bias: the configuration's `attention_bias` or `mlp_bias` decides."""

    qkv_bias: bool | None = None
    out_bias: bool | None = None
    mlp_bias: bool | None = None
    no_key_bias: bool = False
    qk_norm: Literal["none", "head", "full"] = "none"
    qk_norm_bias: bool = False
    norms: int = 2
    norm_bias: bool = False
    final_norm: bool = True
    embedding_norm: bool = False
    gated: bool = True
    tied: bool = False
    head_bias: bool = False
    output_gate: bool = False
    sinks: bool = False
    shared_gate: bool = False
    router_bias: bool = False
    expert_bias: bool = False
    position_extra: int | None = None
    """Learned positions: this many rows more than the context; None: no learned positions."""
    role: Literal["decoder", "encoder", "encoder_decoder"] = "decoder"
    defaults: tuple[tuple[str, Any], ...] = ()
    """Configuration values that published files leave out."""


_QWEN = Traits(qkv_bias=True, out_bias=False)
_QWEN3 = Traits(qk_norm="head")
_LAYER_NORM = Traits(qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False)
_BERT = Traits(
    qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, final_norm=False, embedding_norm=True,
    position_extra=0, role="encoder", tied=True,
)  # fmt: skip
_GEMMA3_DEFAULTS = (
    ("num_attention_heads", 8), ("num_key_value_heads", 4), ("head_dim", 256), ("vocab_size", 262208),
    ("max_position_embeddings", 131072), ("sliding_window_pattern", 6), ("sliding_window", 4096),
)  # fmt: skip
_GLM_MOE = Traits(qkv_bias=None, out_bias=False, router_bias=True)

TRAITS: dict[str, Traits] = {
    "llama": Traits(), "mistral": Traits(), "mixtral": Traits(), "yi": Traits(), "granite": Traits(),
    "deepseek": Traits(), "arcee": Traits(gated=False), "aquila": Traits(), "internlm2": Traits(),
    "internlm3": Traits(),
    "internlm": Traits(qkv_bias=True, out_bias=True), "baichuan": Traits(), "exaone": Traits(), "smollm3": Traits(),
    "seed_oss": Traits(qkv_bias=True, out_bias=False), "ernie4_5": Traits(),
    "hunyuan_v1_dense": Traits(qk_norm="head"),
    "minicpm": Traits(tied=True), "minicpm3": Traits(tied=True), "mistral3": Traits(), "ministral3": Traits(),
    "nemotron-nas": Traits(),
    "apertus": Traits(qk_norm="head", gated=False),
    "nemotron": Traits(norm_bias=True, gated=False), "qwen": _QWEN, "qwen2": _QWEN,
    "qwen2_moe": Traits(qkv_bias=True, out_bias=False, shared_gate=True),
    "qwen3": _QWEN3, "qwen3_moe": _QWEN3, "qwen3_vl_text": _QWEN3, "qwen3_vl_moe_text": _QWEN3,
    "qwen3_next": Traits(qk_norm="head", output_gate=True, shared_gate=True),
    "qwen3_5_text": Traits(qk_norm="head", output_gate=True),
    "qwen3_5_moe_text": Traits(qk_norm="head", output_gate=True, shared_gate=True),
    "olmo": Traits(norms=0, final_norm=False), "olmo2": Traits(qk_norm="full"), "olmo3": Traits(qk_norm="full"),
    "olmoe": Traits(qk_norm="full"),
    "gemma": Traits(tied=True), "gemma2": Traits(tied=True, norms=4),
    "gemma3_text": Traits(tied=True, norms=4, qk_norm="head", defaults=_GEMMA3_DEFAULTS),
    "gemma3n_text": Traits(tied=True, norms=4, qk_norm="head"),
    "gemma4_text": Traits(tied=True, norms=4, qk_norm="head"),
    "cohere": Traits(tied=True, norms=1),
    "cohere2": Traits(tied=True, norms=1, defaults=(("sliding_window_pattern", 4),)),
    "phi": Traits(qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, norms=1, head_bias=True),
    "phi3": Traits(qkv_bias=False, out_bias=False),
    "phimoe": Traits(norm_bias=True, head_bias=True),
    "gpt_neox": _LAYER_NORM,
    "gpt2": Traits(
        qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, tied=True, position_extra=0
    ),
    "gpt_bigcode": Traits(
        qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, tied=True, position_extra=0
    ),
    "gptj": Traits(qkv_bias=False, out_bias=False, mlp_bias=True, norm_bias=True, gated=False, norms=1, head_bias=True),
    "gpt_neo": Traits(
        qkv_bias=False, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, tied=True, position_extra=0
    ),
    "opt": Traits(
        qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, tied=True, position_extra=2
    ),
    "bloom": Traits(
        qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, tied=True, embedding_norm=True
    ),
    "mpt": Traits(qkv_bias=False, out_bias=False, mlp_bias=False, gated=False, tied=True),
    "falcon": Traits(qkv_bias=None, out_bias=None, mlp_bias=None, norm_bias=True, gated=False, tied=True),
    "starcoder2": Traits(
        qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, tied=True
    ),
    "stablelm": Traits(qkv_bias=None, out_bias=False, norm_bias=True),
    "chatglm": Traits(qkv_bias=True, out_bias=False), "glm": Traits(qkv_bias=None, out_bias=False),
    "glm4": Traits(qkv_bias=None, out_bias=False, norms=4),
    "glm4v_text": Traits(qkv_bias=None, out_bias=False, norms=4),
    "glm4_moe": _GLM_MOE, "glm4v_moe_text": _GLM_MOE, "glm4_moe_lite": Traits(router_bias=True),
    "glm_moe_dsa": Traits(router_bias=True),
    "deepseek_v2": Traits(), "deepseek_v3": Traits(router_bias=True), "deepseek_v32": Traits(router_bias=True),
    "kimi_k2": Traits(router_bias=True),
    "gpt_oss": Traits(qkv_bias=True, out_bias=True, sinks=True, router_bias=True, expert_bias=True),
    "llama4_text": Traits(), "dbrx": Traits(), "granitemoe": Traits(tied=True), "granitemoeshared": Traits(tied=True),
    "granitemoehybrid": Traits(tied=True), "exaone4": Traits(qk_norm="head"),
    "lfm2": Traits(tied=True, qk_norm="head"),
    "lfm2_moe": Traits(tied=True, qk_norm="head", router_bias=True), "nemotron_h": Traits(gated=False),
    "falcon_h1": Traits(), "jamba": Traits(), "mamba": Traits(tied=True, norms=2), "mamba2": Traits(norms=2),
    "bailing_moe": Traits(), "hunyuan_v1_moe": Traits(qk_norm="head"),
    "dots1": Traits(qk_norm="head", router_bias=True),
    "orion": Traits(norm_bias=True), "nomic_bert": Traits(
        qkv_bias=False, out_bias=False, norm_bias=True, final_norm=False, embedding_norm=True, role="encoder", tied=True
    ),
    "persimmon": Traits(
        qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, qk_norm="head", qk_norm_bias=True
    ),
    "laguna": Traits(qk_norm="head", router_bias=True), "minimax_m2": Traits(qk_norm="full", router_bias=True),
    "mllama_text_model": Traits(),
    "whisper": Traits(
        qkv_bias=True, out_bias=True, mlp_bias=True, no_key_bias=True, norm_bias=True, gated=False, norms=3, tied=True,
        position_extra=0, role="encoder_decoder",
    ),
    "ernie4_5_moe": Traits(router_bias=True),
    "bert": _BERT, "roberta": _BERT, "xlm-roberta": _BERT,
}  # fmt: skip
