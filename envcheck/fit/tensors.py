"""The weights of a model as a list of tensors, worked out from its architecture facts.

Everything about size follows from this list: parameters by part (`parameters`), the bytes of a checkpoint
(`envcheck.fit.checkpoints`) and of a GGUF file (`envcheck.fit.gguf_types`). Names are those llama.cpp gives
(https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py), because its quantization rules go by
name; shapes are those of the modules in https://github.com/huggingface/transformers (`modeling_<architecture>.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from envcheck.schema.facts import Record
from envcheck.schema.model import Attention, Experts, LatentAttention, Layer, ModelFacts, Recurrent

Part = Literal[
    "embedding", "lm_head", "position", "per_layer_embedding", "attention", "recurrent", "mlp", "experts",
    "shared_experts", "router", "norm", "vision", "mtp", "other",
]  # fmt: skip
Kind = Literal["linear", "embedding", "vector", "plain"]

FUSED_QKV = frozenset(
    {"phi3", "gpt_neox", "falcon", "bloom", "mpt", "gpt2", "gpt_bigcode", "qwen", "chatglm", "dbrx", "nomic_bert"}
)
"""Architectures whose query, key and value weights are one tensor in a GGUF file."""
FUSED_GATE = frozenset({"phi3", "chatglm", "glm", "glm4"})
"""Architectures whose gate and up weights are one tensor in a GGUF file."""


class Tensor(Record, gc=False):
    """One weight: `rows` outputs by `cols` inputs (the contiguous dimension), `copies` times (experts)."""

    name: str
    rows: int
    cols: int
    part: Part
    kind: Kind = "linear"
    copies: int = 1

    @property
    def elements(self) -> int:
        """Parameters in this tensor."""
        return self.rows * self.cols * self.copies

    @property
    def layer(self) -> int:
        """Its layer, counted from 0; -1 outside the stack."""
        return int(self.name[4 : self.name.index(".", 4)]) if self.name.startswith("blk.") else -1


_Shape = tuple[str, int, int, Part, Kind, int]


def _linear(name: str, cols: int, rows: int, part: Part, bias: bool = False, copies: int = 1) -> Iterator[_Shape]:
    yield f"{name}.weight", rows, cols, part, "linear", copies
    if bias:
        yield f"{name}.bias", 1, rows, part, "vector", copies


def _norm(name: str, width: int, bias: bool = False) -> Iterator[_Shape]:
    yield f"{name}.weight", 1, width, "norm", "vector", 1
    if bias:
        yield f"{name}.bias", 1, width, "norm", "vector", 1


def _plain(name: str, rows: int, cols: int, part: Part) -> Iterator[_Shape]:
    """A small tensor that no scheme quantizes (convolutions, decay rates)."""
    yield name, rows, cols, part, "plain", 1


def _attention(facts: ModelFacts, kind: Attention, shares_kv: bool, prefix: str = "attn") -> Iterator[_Shape]:
    query = kind.heads * kind.key_dim
    keys, values = kind.kv_heads * kind.key_dim, kind.kv_heads * kind.value_width
    if facts.architecture in FUSED_QKV and prefix == "attn":
        yield from _linear("attn_qkv", facts.hidden, query + keys + values, "attention", kind.q_bias)
    else:
        yield from _linear(
            f"{prefix}_q", facts.hidden, query * (2 if kind.output_gate else 1), "attention", kind.q_bias
        )
        if not shares_kv:
            yield from _linear(f"{prefix}_k", facts.hidden, keys, "attention", kind.kv_bias and not kind.no_key_bias)
            if not kind.keys_are_values:
                yield from _linear(f"{prefix}_v", facts.hidden, values, "attention", kind.kv_bias)
    yield from _linear(f"{prefix}_output", kind.heads * kind.value_width, facts.hidden, "attention", kind.out_bias)
    if kind.qk_norm != "none":
        width = kind.key_dim if kind.qk_norm == "head" else query
        yield from _norm(f"{prefix}_q_norm", width, kind.qk_norm_bias)
        if not shares_kv:
            yield from _norm(f"{prefix}_k_norm", kind.key_dim if kind.qk_norm == "head" else keys, kind.qk_norm_bias)
    if kind.head_gate:
        yield from _linear(f"{prefix}_gate", facts.hidden, kind.heads, "attention")
    if kind.sinks:
        yield from _plain(f"{prefix}_sinks.weight", 1, kind.heads, "attention")


def _latent(facts: ModelFacts, kind: LatentAttention) -> Iterator[_Shape]:
    query = kind.heads * (kind.nope_dim + kind.rope_dim)
    if kind.q_rank is None:
        yield from _linear("attn_q", facts.hidden, query, "attention")
    else:
        yield from _linear("attn_q_a", facts.hidden, kind.q_rank, "attention")
        yield from _norm("attn_q_a_norm", kind.q_rank)
        yield from _linear("attn_q_b", kind.q_rank, query, "attention")
    yield from _linear("attn_kv_a_mqa", facts.hidden, kind.kv_rank + kind.rope_dim, "attention")
    yield from _norm("attn_kv_a_norm", kind.kv_rank)
    yield from _linear("attn_kv_b", kind.kv_rank, kind.heads * (kind.nope_dim + kind.value_dim), "attention")
    yield from _linear("attn_output", kind.heads * kind.value_dim, facts.hidden, "attention")
    if kind.index_heads:
        source = kind.q_rank or facts.hidden
        yield from _linear("indexer.attn_q_b", source, kind.index_heads * kind.index_dim, "attention")
        yield from _linear("indexer.attn_k", facts.hidden, kind.index_dim, "attention")
        yield from _norm("indexer.k_norm", kind.index_dim, bias=True)
        yield from _linear("indexer.proj", facts.hidden, kind.index_heads, "attention")


def _recurrent(facts: ModelFacts, kind: Recurrent) -> Iterator[_Shape]:
    hidden, inner, state = facts.hidden, kind.inner, kind.state
    if kind.kind == "short_conv":
        yield from _linear("shortconv.in_proj", hidden, 3 * hidden, "recurrent", kind.bias)
        yield from _plain("shortconv.conv.weight", hidden, kind.conv, "recurrent")
        yield from _linear("shortconv.out_proj", hidden, hidden, "recurrent", kind.bias)
        return
    if kind.kind == "gated_delta_net":
        yield from _linear("attn_qkv", hidden, kind.conv_channels, "recurrent")
        yield from _linear("attn_gate", hidden, inner, "recurrent")
        yield from _linear("ssm_ba", hidden, 2 * kind.heads, "recurrent")
        yield from _norm("ssm_norm", inner // kind.heads)
    elif kind.kind == "lightning":
        yield from _linear("attn_qkv", hidden, 3 * inner, "recurrent")
        yield from _linear("attn_gate", hidden, inner, "recurrent")
        yield from _norm("ssm_norm", inner)
        yield from _linear("ssm_out", inner, hidden, "recurrent")
        return
    elif kind.kind == "kimi_delta":
        yield from _kimi_delta(kind, hidden)
    elif kind.kind == "mamba2":
        width = 2 * inner + 2 * kind.groups * state + kind.heads
        yield from _linear("ssm_in", hidden, width, "recurrent", kind.bias)
        yield from _plain("ssm_d", 1, kind.heads, "recurrent")
        if kind.norm:
            yield from _norm("ssm_norm", inner)
    else:
        yield from _mamba(kind, hidden)
    if kind.kind in ("gated_delta_net", "mamba2"):
        yield from _plain("ssm_a", 1, kind.heads, "recurrent")
        yield from _plain("ssm_dt.bias", 1, kind.heads, "recurrent")
    yield from _plain("ssm_conv1d.weight", kind.conv_channels, kind.conv, "recurrent")
    if kind.conv_bias:
        yield from _plain("ssm_conv1d.bias", 1, kind.conv_channels, "recurrent")
    yield from _linear("ssm_out", inner, hidden, "recurrent", kind.bias)


def _kimi_delta(kind: Recurrent, hidden: int) -> Iterator[_Shape]:
    """Delta attention with a decay per channel: projections, and low-rank paths for decay and gate."""
    head = kind.inner // kind.heads
    yield from _linear("attn_qkv", hidden, kind.conv_channels, "recurrent")
    for name in ("ssm_f", "ssm_g"):
        yield from _linear(f"{name}_a", hidden, head, "recurrent")
        yield from _linear(f"{name}_b", head, kind.inner, "recurrent")
    yield from _linear("ssm_beta", hidden, kind.heads, "recurrent")
    yield from _plain("ssm_a", 1, kind.heads, "recurrent")
    yield from _plain("ssm_dt.bias", 1, kind.inner, "recurrent")
    yield from _norm("ssm_norm", head)


def _mamba(kind: Recurrent, hidden: int) -> Iterator[_Shape]:
    yield from _linear("ssm_in", hidden, 2 * kind.inner, "recurrent", kind.bias)
    yield from _linear("ssm_x", kind.inner, kind.dt_rank + 2 * kind.state, "recurrent")
    yield from _linear("ssm_dt", kind.dt_rank, kind.inner, "recurrent", bias=True)
    yield from _plain("ssm_a", kind.inner, kind.state, "recurrent")
    yield from _plain("ssm_d", 1, kind.inner, "recurrent")
    if kind.norm:
        for name, width in (("ssm_dt_norm", kind.dt_rank), ("ssm_b_norm", kind.state), ("ssm_c_norm", kind.state)):
            yield from _norm(name, width)


def _feed_forward(facts: ModelFacts, ffn: int) -> Iterator[_Shape]:
    if facts.gated and facts.architecture in FUSED_GATE:
        yield from _linear("ffn_up", facts.hidden, 2 * ffn, "mlp", facts.mlp_bias)
    else:
        if facts.gated:
            yield from _linear("ffn_gate", facts.hidden, ffn, "mlp", facts.mlp_bias)
        yield from _linear("ffn_up", facts.hidden, ffn, "mlp", facts.mlp_bias)
    yield from _linear("ffn_down", ffn, facts.hidden, "mlp", facts.mlp_bias)


def _experts(facts: ModelFacts, experts: Experts) -> Iterator[_Shape]:
    width = experts.latent or facts.hidden
    yield "ffn_gate_inp.weight", experts.count, facts.hidden, "router", "plain", 1
    if experts.router_bias:
        yield "exp_probs_b.bias", 1, experts.count, "router", "vector", 1
    if experts.latent:
        yield from _linear("ffn_latent_down", facts.hidden, experts.latent, "experts")
        yield from _linear("ffn_latent_up", experts.latent, facts.hidden, "experts")
    if facts.gated:
        yield from _linear("ffn_gate_exps", width, experts.ffn, "experts", experts.bias, experts.count)
    yield from _linear("ffn_up_exps", width, experts.ffn, "experts", experts.bias, experts.count)
    yield from _linear("ffn_down_exps", experts.ffn, width, "experts", experts.bias, experts.count)
    if experts.shared_ffn:
        if facts.gated:
            yield from _linear("ffn_gate_shexp", facts.hidden, experts.shared_ffn, "shared_experts")
        yield from _linear("ffn_up_shexp", facts.hidden, experts.shared_ffn, "shared_experts")
        yield from _linear("ffn_down_shexp", experts.shared_ffn, facts.hidden, "shared_experts")
    if experts.shared_gate:
        yield "ffn_gate_inp_shexp.weight", 1, facts.hidden, "router", "plain", 1


_NORM_NAMES = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "norm_5", "norm_6", "norm_7")


def _layer(facts: ModelFacts, layer: Layer) -> Iterator[_Shape]:
    if isinstance(layer.attention, LatentAttention):
        yield from _latent(facts, layer.attention)
    elif layer.attention is not None:
        yield from _attention(facts, layer.attention, layer.shares_kv and not facts.shared_kv_weights)
    if facts.cross_attention is not None:
        yield from _attention(facts, facts.cross_attention, False, "cross_attn")
    if layer.recurrent is not None:
        yield from _recurrent(facts, layer.recurrent)
    if layer.ffn:
        yield from _feed_forward(facts, layer.ffn)
    if layer.experts is not None:
        yield from _experts(facts, layer.experts)
    if facts.per_layer_width:
        yield from _linear("inp_gate", facts.hidden, facts.per_layer_width, "other")
        yield from _linear("proj", facts.per_layer_width, facts.hidden, "other")
        yield from _norm("post_norm", facts.hidden)
    if facts.extra_per_layer:
        yield from _plain("extra", 1, facts.extra_per_layer, "other")
    whole = (layer.attention or layer.recurrent) and (layer.ffn or layer.experts)
    for name in _NORM_NAMES[: facts.norms if whole else facts.norms // 2]:
        yield from _norm(name, facts.hidden, facts.norm_bias)


def _outside(facts: ModelFacts) -> Iterator[_Shape]:
    width = facts.embedding_width or facts.hidden
    yield "token_embd.weight", facts.vocab, width, "embedding", "embedding", 1
    if facts.embedding_width:
        yield from _linear("embd_in", width, facts.hidden, "other")
        yield from _linear("embd_out", facts.hidden, width, "other")
    if facts.position_rows:
        yield "position_embd.weight", facts.position_rows, facts.hidden, "position", "embedding", 1
    if facts.token_types:
        yield "token_types.weight", facts.token_types, facts.hidden, "position", "embedding", 1
    if facts.embedding_norm:
        yield from _norm("token_embd_norm", facts.hidden, facts.norm_bias)
    if facts.per_layer_width:
        per_token = facts.per_layer_width * facts.layer_count
        yield "per_layer_token_embd.weight", facts.per_layer_vocab, per_token, "per_layer_embedding", "embedding", 1
        yield from _linear("per_layer_model_proj", facts.hidden, per_token, "other")
        yield from _norm("per_layer_proj_norm", facts.per_layer_width)
    if facts.final_norm:
        yield from _norm("output_norm", facts.hidden, facts.norm_bias)
    if facts.role != "encoder" and not facts.tied:
        yield from _linear("output", width, facts.vocab, "lm_head", facts.head_bias)
    elif facts.head_bias:
        yield "output.bias", 1, facts.vocab, "lm_head", "vector", 1


def _beside(facts: ModelFacts) -> Iterator[Tensor]:
    """Towers and other parts known by their count only, and the multi-token-prediction layers."""
    if facts.vision is not None:
        yield Tensor(name="vision", rows=1, cols=facts.vision.parameters, part="vision", kind="plain")
    for part in facts.parts:
        kind: Kind = "linear" if part.quantized else "plain"
        yield Tensor(name=part.name, rows=1, cols=part.parameters, part="other", kind=kind)
    if not facts.mtp_layers:
        return
    last = facts.layers()[_mtp_model_layer(facts)]
    for index in range(facts.layer_count, facts.layer_count + facts.mtp_layers):
        shapes = list(_layer(facts, last))
        shapes += _linear("nextn.eh_proj", 2 * facts.hidden, facts.hidden, "mtp")
        for name in ("nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm"):
            shapes += _norm(name, facts.hidden)
        if facts.mtp_vocabulary:
            shapes.append(("nextn.embed_tokens.weight", facts.vocab, facts.hidden, "mtp", "embedding", 1))
            shapes.append(("nextn.shared_head_head.weight", facts.vocab, facts.hidden, "mtp", "embedding", 1))
        for name, rows, cols, _, kind, copies in shapes:
            yield Tensor(name=f"blk.{index}.{name}", rows=rows, cols=cols, part="mtp", kind=kind, copies=copies)


def _mtp_model_layer(facts: ModelFacts) -> int:
    """Which layer of the stack an MTP layer is built like: the last one with attention over all tokens."""
    layers = facts.layers()
    whole = [layer.index for layer in layers if layer.attention is not None and (layer.ffn or layer.experts)]
    return whole[-1] if whole else facts.layer_count - 1


class Stack(NamedTuple):
    """The weights of a model with alike layers listed once."""

    outside: tuple[Tensor, ...]
    kinds: tuple[tuple[Tensor, ...], ...]
    """Per kind of layer, the tensors of the first layer of that kind."""
    layers: tuple[int, ...]
    """Per layer its kind; kinds are numbered as they first come."""
    beside: tuple[Tensor, ...]


def _tensor(prefix: str, shape: _Shape) -> Tensor:
    name, rows, cols, part, kind, copies = shape
    return Tensor(name=prefix + name, rows=rows, cols=cols, part=part, kind=kind, copies=copies)


@lru_cache(maxsize=256)
def stack(facts: ModelFacts) -> Stack:
    """Every weight of the model, layers of the same make once."""
    numbers: dict[tuple[object, ...], int] = {}
    kinds: list[tuple[Tensor, ...]] = []
    places = []
    for layer in facts.layers():
        make = (layer.attention, layer.shares_kv, layer.recurrent, layer.ffn, layer.experts)
        if make not in numbers:
            numbers[make] = len(kinds)
            kinds.append(tuple(_tensor(f"blk.{layer.index}.", shape) for shape in _layer(facts, layer)))
        places.append(numbers[make])
    outside = tuple(_tensor("", shape) for shape in _outside(facts))
    return Stack(outside, tuple(kinds), tuple(places), tuple(_beside(facts)))


def in_layer(tensor: Tensor, layer: int) -> Tensor:
    """The tensor of another layer of the same kind."""
    return msgspec.structs.replace(tensor, name=f"blk.{layer}.{tensor.name.split('.', 2)[2]}")


@lru_cache(maxsize=256)
def tensors(facts: ModelFacts) -> tuple[Tensor, ...]:
    """Every weight of the model in the order embedding and head, layers, parts beside the stack."""
    outside, kinds, layers, beside = stack(facts)
    placed = [in_layer(tensor, layer) for layer, kind in enumerate(layers) for tensor in kinds[kind]]
    return (*outside, *placed, *beside)


def parameters(facts: ModelFacts) -> dict[Part, int]:
    """Weights by part; the sum is the model's parameter count. Tied heads are counted once, as embedding."""
    total: dict[Part, int] = {}
    for tensor in tensors(facts):
        total[tensor.part] = total.get(tensor.part, 0) + tensor.elements
    return total


def parameter_count(facts: ModelFacts) -> int:
    """All weights, multi-token-prediction layers and towers included, as a hub counts a checkpoint."""
    outside, kinds, layers, beside = stack(facts)
    sizes = [sum(tensor.elements for tensor in kind) for kind in kinds]
    return sum(tensor.elements for tensor in outside + beside) + sum(sizes[kind] for kind in layers)


def active_parameters(facts: ModelFacts) -> int:
    """Weights one token of text passes through: experts at `used` of `count`; no tower, no MTP, no embedding table.

    The head is counted (as the tied embedding where there is no head of its own), because every token reads it.
    """
    active = facts.vocab * (facts.embedding_width or facts.hidden) if facts.tied and facts.role != "encoder" else 0
    used = facts.experts.used if facts.experts else 0
    beside = {part.name for part in facts.parts}
    for tensor in tensors(facts):
        if tensor.part in ("embedding", "position", "per_layer_embedding", "vision", "mtp") or tensor.name in beside:
            continue
        if tensor.part == "experts" and tensor.copies > 1:
            active += tensor.elements // tensor.copies * used
        else:
            active += tensor.elements
    return active
