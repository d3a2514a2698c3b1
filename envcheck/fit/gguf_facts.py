"""Architecture facts from a GGUF header: its metadata keys and the shapes in its tensor table.

Keys: https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py. What the tensor table shows (tied
head, biases, gates, which layers attend) is read there and not assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envcheck.fit.gguf_header import GgufHeader, LongArray
from envcheck.fit.hf_layers import compress
from envcheck.schema.errors import InputError
from envcheck.schema.model import Attention, Experts, LatentAttention, ModelFacts, Recurrent, StoredTensor

FILE_TYPE_NAMES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip
_ENCODERS = ("bert", "nomic-bert", "jina-bert-v2", "nomic-bert-moe", "neo-bert", "modern-bert")
_WINDOW_PERIOD = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "cohere2": 4,
    "gpt-oss": 2,
    "olmo2": 4,
    "exaone4": 4,
    "llama4": 4,
}
"""Every n-th layer has full attention where the file does not list it (`set_swa_pattern` in llama.cpp's models)."""


class _Meta:
    """Metadata of one architecture, with one sentence for whatever is missing or contradictory."""

    def __init__(self, metadata: Mapping[str, Any], where: str) -> None:
        self.metadata, self.where = metadata, where
        self.architecture = str(metadata.get("general.architecture") or "")
        if not self.architecture:
            raise InputError(f"{where}: the key 'general.architecture' is missing; this is not a model")

    def get(self, key: str) -> Any:
        return self.metadata.get(f"{self.architecture}.{key}")

    def count(self, key: str, default: int | None = None) -> int:
        value = self.get(key)
        if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
            value = max(value)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 40:
            raise InputError(f"{self.where}: {self.architecture}.{key} is {value!r}, not a plausible count")
        return value

    def by_layer(self, key: str, layers: int) -> tuple[int, ...]:
        """The value of every layer; empty when the key is absent."""
        value = self.get(key)
        if value is None:
            return ()
        if isinstance(value, tuple):
            if len(value) < layers or not all(isinstance(v, int) and 0 <= v < 1 << 40 for v in value):
                raise InputError(f"{self.where}: {self.architecture}.{key} does not list {layers} plausible counts")
            return tuple(int(v) for v in value[:layers])
        return (self.count(key),) * layers


def facts_from_gguf(header: GgufHeader, path: Path) -> ModelFacts:
    """The architecture that a GGUF file's header describes.

    Raises InputError with one sentence when keys are missing, contradictory or implausible.
    """
    meta = _Meta(header.metadata, str(path))
    tensors = {tensor.name: tensor for tensor in header.tensors}
    prediction = meta.count("nextn_predict_layers", 0)
    layers = meta.count("block_count") - prediction
    hidden = meta.count("embedding_length")
    if not 0 < layers <= 10_000 or not 0 < hidden <= 1 << 24:
        raise InputError(f"{path}: {layers} layers of width {hidden} make no sense")
    kv_heads = meta.by_layer("attention.head_count_kv", layers) or meta.by_layer("attention.head_count", layers)
    mixers = _mixers(meta, tensors, layers, kv_heads)
    fields = _attention(meta, tensors, mixers, kv_heads, hidden)
    experts = _experts(meta, tensors)
    ffn = meta.by_layer("feed_forward_length", layers)
    return ModelFacts(
        name=str(header.metadata.get("general.name") or path.stem),
        family=meta.architecture,
        architecture=meta.architecture.replace("-", "_"),
        hidden=hidden,
        layer_count=layers,
        vocab=_vocabulary(meta, tensors),
        max_context=meta.count("context_length", 0),
        ffn=max(ffn, default=0),
        ffn_by_layer=ffn if len(set(ffn)) > 1 else (),
        mixers=compress(mixers),
        feed_forward=compress(_feed_forward(tensors, layers)),
        experts=experts,
        recurrent=_recurrent(meta, mixers),
        tied="output.weight" not in tensors,
        gated=any(name.startswith("blk.") and ".ffn_gate" in name for name in tensors),
        mtp_layers=prediction,
        shared_kv_layers=meta.count("attention.shared_kv_layers", 0),
        per_layer_width=meta.count("embedding_length_per_layer_input", 0),
        per_layer_vocab=_rows(tensors.get("per_layer_token_embd.weight")),
        role="encoder" if meta.architecture in _ENCODERS else "decoder",
        basis="file",
        **fields,
    )


def _rows(tensor: StoredTensor | None) -> int:
    return tensor.shape[1] if tensor is not None and len(tensor.shape) > 1 else 0


def _vocabulary(meta: _Meta, tensors: Mapping[str, StoredTensor]) -> int:
    rows = _rows(tensors.get("token_embd.weight"))
    if rows:
        return rows
    tokens = meta.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, LongArray):
        return tokens.length
    if isinstance(tokens, Sequence) and tokens:
        return len(tokens)
    return meta.count("vocab_size")


def _mixers(meta: _Meta, tensors: Mapping[str, StoredTensor], layers: int, kv_heads: tuple[int, ...]) -> str:
    letters = []
    latent = meta.get("attention.kv_lora_rank") is not None
    pattern = meta.get("attention.sliding_window_pattern")
    window = meta.count("attention.sliding_window", 0) or meta.count("attention.chunk_size", 0)
    period = _WINDOW_PERIOD.get(meta.architecture, 0) if window else 0
    if isinstance(pattern, int) and not isinstance(pattern, bool) and window:
        period = pattern
    for index in range(layers):
        start = f"blk.{index}."
        recurrent = f"{start}ssm_out.weight" in tensors or f"{start}shortconv.conv.weight" in tensors
        attends = any(start + name in tensors for name in _ATTENTION_TENSORS) if tensors else True
        local = (
            pattern[index] if isinstance(pattern, tuple) and index < len(pattern) else period and (index + 1) % period
        )
        if recurrent:
            letters.append("p" if attends and f"{start}attn_output.weight" in tensors else "r")
        elif not attends or (kv_heads and kv_heads[index] == 0):
            letters.append("-")
        else:
            letters.append("l" if latent else "s" if local else "a")
    return "".join(letters)


_ATTENTION_TENSORS = ("attn_q.weight", "attn_qkv.weight", "attn_q_a.weight", "attn_k.weight")


def _feed_forward(tensors: Mapping[str, StoredTensor], layers: int) -> str:
    letters = []
    for index in range(layers):
        start = f"blk.{index}."
        experts = f"{start}ffn_down_exps.weight" in tensors or f"{start}ffn_down.0.weight" in tensors
        dense = f"{start}ffn_down.weight" in tensors or not tensors
        letters.append("b" if experts and dense else "e" if experts else "d" if dense else "-")
    return "".join(letters)


def _attention(
    meta: _Meta, tensors: Mapping[str, StoredTensor], mixers: str, kv_heads: tuple[int, ...], hidden: int
) -> dict[str, Any]:
    if not set(mixers) & set("aslp"):
        return {}
    heads = meta.count("attention.head_count")
    if heads == 0:
        raise InputError(f"{meta.where}: the model has attention layers and no heads")
    if "l" in mixers:
        return {"latent": _latent(meta, heads)}
    key = meta.count("attention.key_length", hidden // heads)
    value = meta.count("attention.value_length", key)
    some = next((k for k in kv_heads if k), heads)
    bias = any(name.endswith(("attn_q.bias", "attn_qkv.bias")) for name in tensors)
    norm = next((t for name, t in tensors.items() if name.endswith("attn_q_norm.weight")), None)
    kind = Attention(
        heads=heads, kv_heads=some, key_dim=key, value_dim=None if value == key else value, q_bias=bias, kv_bias=bias,
        out_bias=any(name.endswith("attn_output.bias") for name in tensors),
        qk_norm="none" if norm is None else "head" if norm.shape[0] == key else "full",
        sinks=any("attn_sinks" in name for name in tensors),
    )  # fmt: skip
    fields: dict[str, Any] = {"attention": kind}
    if "s" in mixers:
        window = meta.count("attention.sliding_window", 0) or meta.count("attention.chunk_size", 0)
        fields["local"] = _local(meta, kind, kv_heads, mixers, window)
    if not kv_heads:
        return fields
    by_kind = {letters: {k for k, m in zip(kv_heads, mixers, strict=True) if m in letters} for letters in ("ap", "s")}
    if any(len(seen) > 1 for seen in by_kind.values()):
        fields["kv_heads_by_layer"] = tuple(k if m in "aps" else 0 for k, m in zip(kv_heads, mixers, strict=True))
    elif by_kind["ap"]:
        fields["attention"] = _changed(kind, kv_heads=by_kind["ap"].pop())
    return fields


def _changed(kind: Attention, **fields: Any) -> Attention:
    return Attention(**{**{name: getattr(kind, name) for name in kind.__struct_fields__}, **fields})


def _local(meta: _Meta, kind: Attention, kv_heads: tuple[int, ...], mixers: str, window: int) -> Attention:
    """The windowed layers' attention: Gemma 4 gives them their own widths and heads."""
    key = meta.count("attention.key_length_swa", kind.key_dim)
    value = meta.count("attention.value_length_swa", key if meta.get("attention.key_length_swa") else kind.value_width)
    first = mixers.index("s")
    return _changed(
        kind, window=window or None, chunked=meta.architecture == "llama4", key_dim=key,
        value_dim=None if value == key else value, kv_heads=kv_heads[first] if kv_heads else kind.kv_heads,
    )  # fmt: skip


def _latent(meta: _Meta, heads: int) -> LatentAttention:
    rope = meta.count("rope.dimension_count", 64)
    key = meta.count("attention.key_length_mla", meta.count("attention.key_length"))
    value = meta.count("attention.value_length_mla", meta.count("attention.value_length"))
    return LatentAttention(
        heads=heads, kv_rank=meta.count("attention.kv_lora_rank"), rope_dim=rope, nope_dim=max(key - rope, 0),
        value_dim=value, q_rank=meta.count("attention.q_lora_rank", 0) or None,
        index_heads=meta.count("attention.indexer.head_count", 0),
        index_dim=meta.count("attention.indexer.key_length", 0),
    )  # fmt: skip


def _experts(meta: _Meta, tensors: Mapping[str, StoredTensor]) -> Experts | None:
    count = meta.count("expert_count", 0)
    if count < 2:
        return None
    table = next((t for name, t in tensors.items() if name.endswith("ffn_down_exps.weight")), None)
    width = table.shape[0] if table is not None and table.shape else meta.count("feed_forward_length", 0)
    shared = next((t for name, t in tensors.items() if name.endswith("ffn_down_shexp.weight")), None)
    return Experts(
        count=count, used=meta.count("expert_used_count", 1), ffn=meta.count("expert_feed_forward_length", width),
        shared_ffn=shared.shape[0] if shared is not None and shared.shape else 0,
        router_bias=any("exp_probs_b" in name for name in tensors),
        bias=any(name.endswith("ffn_down_exps.bias") for name in tensors),
    )  # fmt: skip


def _recurrent(meta: _Meta, mixers: str) -> Recurrent | None:
    if not set(mixers) & set("rp"):
        return None
    if meta.get("shortconv.l_cache") is not None:
        hidden = meta.count("embedding_length")
        return Recurrent(kind="short_conv", inner=hidden, conv=meta.count("shortconv.l_cache"), conv_bias=False)
    heads, groups = meta.count("ssm.time_step_rank", 0), meta.count("ssm.group_count", 0)
    linear = meta.architecture in ("qwen3next", "qwen35", "qwen35moe")
    return Recurrent(
        kind="gated_delta_net" if linear else "mamba2" if groups else "mamba", inner=meta.count("ssm.inner_size"),
        state=meta.count("ssm.state_size"), conv=meta.count("ssm.conv_kernel"), heads=heads if groups else 0,
        groups=max(groups, 1), dt_rank=0 if groups else heads, conv_bias=not linear,
    )  # fmt: skip
