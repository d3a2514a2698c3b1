"""Answers to batches of questions about memory: one request (a JSON object), one answer.

An answer holds MiB by term with an interval, or `unknown` with the reason.
"""

from __future__ import annotations

from typing import Any

import msgspec

from envcheck.fit import estimate_llama, estimate_transformers, estimate_vllm

Answer = dict[str, Any]
Figure = int | float | None
PerLayer = int | str | list[int] | None
"""One number for all layers, or a list, as such or as a log prints it."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a llama.cpp log prints of a file's header; other keys may stand beside these."""

    arch: str | None = None
    n_layer: int | None = None
    n_embd: int | None = None
    n_vocab: int | None = None
    n_head: PerLayer = None
    n_head_kv: PerLayer = None
    n_embd_head_k: int | None = None
    n_embd_head_v: int | None = None
    n_embd_k_gqa: PerLayer = None
    n_embd_v_gqa: PerLayer = None
    n_ff: PerLayer = None
    n_ff_exp: int | None = None
    n_expert: int | None = None
    n_expert_used: int | None = None
    n_swa: int | None = None
    n_rot: int | None = None
    n_lora_kv: int | None = None
    n_ctx_train: int | None = None
    ssm_d_conv: int | None = None
    ssm_d_inner: int | None = None
    ssm_d_state: int | None = None
    ssm_n_group: int | None = None
    wkv_head_size: int | None = None
    n_shortconv_l_cache: int | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a start-up as logs print them; None: not shown."""

    ctx: int | None = None
    n_ctx: int | None = None
    batch: int | None = None
    ubatch: int | None = None
    n_seq: int | None = None
    n_ctx_seq: int | None = None
    n_ctx_per_seq: int | None = None
    kv_type_k: str | None = None
    kv_type_v: str | None = None
    kv_type: str | None = None
    kv_unified: str | bool | None = None
    flash_attn: str | int | bool | None = None
    flash_attn_effective: bool | None = None
    gpu_layers: int | None = None
    total_layers: int | None = None
    pipeline_parallelism: bool | None = None
    mla_attn: int | None = None
    attn_max_b: int | None = None
    ollama_runner: str | None = None
    dtype: str | None = None
    quantization: str | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    encoder_budget_tokens: int | None = None
    enable_prefix_caching: bool | None = None
    input_tokens: int | None = None
    generated_tokens: int | None = None
    n_gpus: int | None = None


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What was already decided before the start."""

    kv_budget: Figure = None
    """MiB for vLLM's cache on each GPU."""
    devices_used: int | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What may be known before a start; keys that are not listed are ignored."""

    engine: str | None = None
    engine_fork: str | None = None
    engine_version: str | None = None
    gpu: list[dict[str, Any]] | None = None
    model: str | None = None
    gguf_file: str | None = None
    arch: Header | None = None
    quant: str | None = None
    tensor_types: dict[str, int] | None = None
    size_printed: str | None = None
    params_printed: str | None = None
    settings: Settings | None = None
    given: Given | None = None


def answer(request: dict[str, Any]) -> Answer:
    """Answer one request; where it is not of the form above, or its facts do not suffice, the answer says why."""
    name = request.get("id")
    try:
        checked = msgspec.to_builtins(msgspec.convert(request, Request))
    except msgspec.ValidationError as error:
        return {"id": name, "unknown": f"the request does not fit: {error}"}
    engine = checked["engine"]
    if engine in ("llama.cpp", "ollama"):
        reply = estimate_llama.answer(checked)
    elif engine == "vllm":
        reply = estimate_vllm.answer(checked)
    elif engine == "transformers":
        reply = estimate_transformers.answer(checked)
    else:
        reply = {"unknown": f"no memory rules for the engine {engine!r}"}
    return {"id": name, **reply}
