"""Bytes of a model's weights as an engine holds them, by quantization scheme, from its list of tensors.

Quantizers leave embeddings, head, norms, routers and towers as they were and shrink the linear layers; a scheme costs
its width and its scales: AWQ and GPTQ keep a 16-bit scale and a zero point for every 128 weights, bitsandbytes an f32
maximum for every 64, NVFP4 an 8-bit scale for every 16, MXFP4 one for every 32.

Source: autoawq `nn_modules/linear/gemm.py`, gptqmodel `nn_modules/qlinear`, bitsandbytes `functional.py`,
vllm-project/compressed-tensors `quantization/quant_scheme.py`, OCP Microscaling Formats 1.0.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cache, lru_cache
from typing import Literal

from envcheck.fit.memory_gguf_weights import GgufWeights
from envcheck.fit.memory_types import element_bytes
from envcheck.fit.tensors import Tensor, tensors
from envcheck.schema.facts import Record
from envcheck.schema.model import ModelFacts


class Scheme(Record):
    """How one scheme stores a model."""

    bits: dict[str, float]
    """Bits of a weight with its scales, for each part of the model whose linear layers it shrinks."""
    rest: float = 2
    """Bytes of an element it leaves as it was."""


_STACK = ("attention", "mlp", "experts", "shared_experts", "recurrent")
_EXPERTS = ("experts",)


def _same(bits: float, parts: tuple[str, ...] = _STACK) -> Scheme:
    return Scheme(bits=dict.fromkeys(parts, bits))


SCHEMES: dict[str, Scheme] = {
    "bf16": _same(16, ()),
    "fp16": _same(16, ()),
    "fp32": Scheme(bits={}, rest=4),
    "fp8": _same(8, (*_STACK, "mtp")),
    "int8": _same(8),
    "bnb-int8": _same(8),
    "experts_int8": _same(8, ("experts", "mlp")),
    "awq": _same(4 + 16 / 128 + 4 / 128),
    "int4": _same(4 + 16 / 128),
    "w4a16": _same(4 + 16 / 128),
    "gptq-int4": _same(4 + 16 / 128 + 4 / 128),
    "gptq-int8": _same(8 + 16 / 128 + 8 / 128),
    "bnb-4bit": _same(4 + 32 / 64),
    "nvfp4": _same(4 + 8 / 16),
    "mxfp4": _same(4 + 8 / 32, _EXPERTS),
    # Recipes of compressed-tensors and ModelOpt: routed experts alone where there are experts
    # (int4 with a scale for every 32, as Kimi K2 Thinking and its like are published) …
    "awq-experts": _same(4 + 16 / 128 + 4 / 128, _EXPERTS),
    "int4-experts": _same(4 + 16 / 32, _EXPERTS),
    "nvfp4-experts": _same(4 + 8 / 16, (*_EXPERTS, "mtp")),
    # … and attention and recurrent projections in 8 bit where a dense model has a recurrent state.
    "nvfp4-hybrid": Scheme(bits={"mlp": 4.5, "attention": 8.0, "recurrent": 8.0}),
}
_GGUF_NAME = re.compile(r"(I?Q\d_(?:[01]|K(?:_[SML])?|XXS|XS|S|M|NL)|BF16|F16|F32|MXFP4(?:_MOE)?)", re.IGNORECASE)


def known_quant(quant: str, gguf: bool) -> bool:
    """Whether a name is a quantization that GGUF files (or, else, checkpoints) come in."""
    if gguf:
        return bool(_GGUF_NAME.fullmatch(quant))
    return quant.lower() in SCHEMES


def bits_per_parameter(quant: str) -> float:
    """Nominal bits of one weight, to order quantizations by; unknown names count as 16."""
    name = quant.lower()
    if name in SCHEMES:
        scheme = SCHEMES[name]
        return max(scheme.bits.values(), default=8 * scheme.rest)
    base = element_bytes(_base(quant))
    return 16.0 if base is None else 8 * base + (0.3 if name.endswith("_m") else 0.6 if name.endswith("_l") else 0.0)


def recipe(facts: ModelFacts, quant: str, method: str | None) -> str:
    """The scheme a packed checkpoint really uses: what "compressed-tensors" and "modelopt" leave as it was by habit."""
    packed = (method or "").startswith(("compressed", "modelopt"))
    if packed and facts.experts and quant in ("awq", "int4", "w4a16"):
        return f"{'int4' if quant == 'w4a16' else quant}-experts"
    if quant == "nvfp4" and facts.experts:
        return "nvfp4-experts"
    if quant == "nvfp4" and facts.recurrent:
        return "nvfp4-hybrid"
    return quant


@lru_cache(maxsize=4096)
def stored_bytes(facts: ModelFacts, quant: str) -> float | None:
    """Bytes of all weights an engine loads from a checkpoint in a scheme ("awq", "fp8", …); None for an unknown scheme.

    Layers for multi-token prediction stay in the file unless drafting is asked for.
    """
    return checkpoint_per_gpu(facts, quant, 1, 1)


@lru_cache(maxsize=1024)
def largest_linear(facts: ModelFacts) -> int:
    """Elements of the largest linear layer of the stack (one expert counts by itself)."""
    return max((t.rows * t.cols for t in tensors(facts) if t.kind == "linear" and t.part in _STACK), default=0)


def _base(quant: str) -> str:
    """ggml type a GGUF quantization is named after ("Q4_K_M" → q4_k, "MXFP4_MOE" → mxfp4)."""
    name = quant.lower()
    for ending in ("_moe", "_s", "_m", "_l"):
        shorter = name.removesuffix(ending)
        if element_bytes(name) is None and element_bytes(shorter) is not None:
            return shorter
    return name


_GGUF_ROLE = re.compile(r"blk\.(\d+)\.(?:(attn_v|attn_qkv|attn_output|ffn_down)\w*)?")


class _Group(Record):
    """Tensors of one layer that get the same type, added up."""

    layer: int
    """-1: outside the stack."""
    role: str
    """Part of the name that `llama_tensor_get_type` goes by, "f32" for what is never quantized."""
    blocks: bool
    """Rows divide into blocks of 256."""
    elements: int


@lru_cache(maxsize=1024)
def _groups(facts: ModelFacts) -> tuple[_Group, ...]:
    """The text model's tensors by layer and role; towers and drafting layers are files of their own, or left out."""
    sums: Counter[tuple[int, str, bool]] = Counter()
    for tensor in tensors(facts):
        if tensor.part in ("vision", "mtp"):
            continue
        found = _GGUF_ROLE.match(tensor.name)
        layer = int(found[1]) if found and int(found[1]) < facts.layer_count else -1
        sums[layer, _role(tensor, found), tensor.cols % 256 == 0] += tensor.elements
    return tuple(_Group(layer=i, role=r, blocks=b, elements=n) for (i, r, b), n in sums.items())


def _role(tensor: Tensor, found: re.Match[str] | None) -> str:
    if tensor.kind in ("vector", "plain") or tensor.part == "router":
        return "f32"
    if tensor.part in ("embedding", "lm_head"):
        return tensor.part
    if tensor.part == "experts" and not (found and found[2]):
        return "experts"
    return (found[2] if found else None) or "linear"


@lru_cache(maxsize=4096)
def gguf_weights(facts: ModelFacts, quant: str) -> GgufWeights | None:
    """Bytes by place of a GGUF file that `llama-quantize` would write; None for a type this table does not know."""
    base = _base(quant)
    if element_bytes(base) is None:
        return None
    name = quant.upper()
    usual, more = _role_bytes(name, base, facts.tied)
    embedding = output = total = 0.0
    layers = [0.0] * facts.layer_count
    for group in _groups(facts):
        table = more if group.layer >= 0 and _gets_more(name, group, facts.layer_count) else usual
        size = group.elements * table[group.role, group.blocks]
        total += size
        if group.layer >= 0:
            layers[group.layer] += size
        elif group.role == "embedding":
            embedding += size
        elif group.role == "lm_head":
            output += size
    other = total - embedding - output - sum(layers)
    held = embedding if facts.tied else output
    return GgufWeights(
        total=total, embedding=embedding, output=held + other, tied=facts.tied, layers=tuple(layers), exact=True
    )


_ROLES = ("embedding", "lm_head", "attn_v", "attn_qkv", "attn_output", "ffn_down", "experts", "linear")
_RoleBytes = dict[tuple[str, bool], float]


@cache
def _role_bytes(quant: str, base: str, tied: bool) -> tuple[_RoleBytes, _RoleBytes]:
    """Bytes of one element by role and whether rows divide by 256: as usual, and in layers that get more bits."""
    tables: tuple[_RoleBytes, _RoleBytes] = ({}, {})
    for table, more in zip(tables, (False, True), strict=True):
        for role in _ROLES:
            kind = _gguf_type(role, quant, base, tied, more)
            table[role, True] = element_bytes(kind) or 2.0
            table[role, False] = element_bytes(_narrow(kind)) or 2.0
        table["f32", True] = table["f32", False] = 4.0
    return tables


def _narrow(kind: str) -> str:
    """The type that rows fall back to which do not divide into blocks of 256."""
    if kind.endswith("_k"):
        return {"q2_k": "q4_0", "q3_k": "q4_0", "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}.get(kind, kind)
    return "iq4_nl" if kind.startswith("iq") else kind


def _gguf_type(role: str, quant: str, base: str, tied: bool, more: bool) -> str:
    """What `llama_tensor_get_type` chooses."""
    if base in ("f32", "f16", "bf16"):
        return base
    if base == "mxfp4":
        return "mxfp4" if role in ("experts", "ffn_down") else "q8_0"
    if role == "lm_head" or (role == "embedding" and tied):
        return "q8_0" if base == "q8_0" else "q5_k" if quant.startswith(("IQ1", "IQ2", "IQ3_XXS")) else "q6_k"
    if role == "embedding":
        return _embedding_type(quant, base)
    wide, where = _MORE.get(quant, {}).get(role, (base, "none"))
    return wide if where == "all" or (more and where != "none") else base


def _embedding_type(quant: str, base: str) -> str:
    if quant in ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
        return "q2_k"
    return "iq3_s" if quant in ("IQ2_S", "IQ2_M", "IQ3_XXS") else base


def _gets_more(quant: str, group: _Group, count: int) -> bool:
    where = _MORE.get(quant, {}).get(group.role, ("", "none"))[1]
    if where == "some":
        return _uses_more_bits(group.layer, count)
    return where == "first" and group.layer < count / 8


_MORE: dict[str, dict[str, tuple[str, str]]] = {
    "Q2_K": {"attn_v": ("q3_k", "all"), "ffn_down": ("q3_k", "all"), "attn_output": ("q3_k", "all")},
    "Q3_K_S": {},
    "Q3_K_M": {"attn_v": ("q4_k", "all"), "ffn_down": ("q4_k", "all"), "attn_output": ("q4_k", "all"),
               "attn_qkv": ("q4_k", "all")},
    "Q3_K_L": {"attn_v": ("q5_k", "all"), "ffn_down": ("q5_k", "all"), "attn_output": ("q5_k", "all")},
    "Q4_K_S": {"attn_v": ("q5_k", "first"), "ffn_down": ("q5_k", "first")},
    "Q4_K_M": {"attn_v": ("q6_k", "some"), "ffn_down": ("q6_k", "some"), "attn_qkv": ("q5_k", "all")},
    "Q5_K_M": {"attn_v": ("q6_k", "some"), "ffn_down": ("q6_k", "some"), "attn_qkv": ("q6_k", "all")},
    "IQ3_M": {"attn_v": ("q4_k", "all"), "ffn_down": ("q4_k", "first"), "attn_output": ("q4_k", "all")},
    "IQ4_XS": {"attn_v": ("q5_k", "first"), "ffn_down": ("q5_k", "first")},
    "IQ4_NL": {"attn_v": ("q5_k", "first"), "ffn_down": ("q5_k", "first")},
}  # fmt: skip
"""Per file type: which tensor gets which type, in all layers, the first eighth, or where `use_more_bits` says so
(llama.cpp `src/llama-quant.cpp`)."""


def _uses_more_bits(layer: int, count: int) -> bool:
    return layer < count // 8 or layer >= 7 * count // 8 or (layer - count // 8) % 3 == 2


class _Share(Record):
    """Tensors that a scheme stores alike and that GPUs share alike, added up."""

    part: str
    linear: bool
    divided: Literal["all", "heads", "none"]
    """Over all GPUs of a group, over as many as there are key-value heads, or held in full by each."""
    elements: int


@lru_cache(maxsize=2048)
def _shares(facts: ModelFacts, pipeline_parallel: int) -> tuple[_Share, ...]:
    """The first pipeline stage's tensors."""
    first = math.ceil(facts.layer_count / pipeline_parallel)
    sums: Counter[tuple[str, bool, Literal["all", "heads", "none"]]] = Counter()
    for tensor in tensors(facts):
        if pipeline_parallel > 1:
            found = _GGUF_ROLE.match(tensor.name)
            if tensor.part == "lm_head" or (found and first <= int(found[1]) < facts.layer_count):
                continue
        sums[tensor.part, tensor.kind == "linear", _divided(tensor)] += tensor.elements
    return tuple(_Share(part=p, linear=linear, divided=d, elements=n) for (p, linear, d), n in sums.items())


def _divided(tensor: Tensor) -> Literal["all", "heads", "none"]:
    if tensor.part == "vision":
        return "all"
    if tensor.kind in ("vector", "plain") or tensor.part in ("router", "norm", "position"):
        return "none"
    name = tensor.name
    if ".attn_kv_a" in name or ".attn_q_a" in name or ".indexer" in name:
        return "none"  # the compressed projections of MLA are computed on every GPU
    return "heads" if ".attn_k." in name or ".attn_v." in name else "all"


@lru_cache(maxsize=4096)
def checkpoint_per_gpu(
    facts: ModelFacts,
    quant: str,
    tensor_parallel: int,
    pipeline_parallel: int,
    drafting: bool = False,
    head: bool = True,
) -> float | None:
    """Bytes on the first GPU of a vLLM group: sharded linear layers and vocabulary, norms and surplus heads in full.

    `drafting` loads the layers for multi-token prediction too; without `head` the output layer is left out (embedding
    models). None for an unknown scheme.
    """
    scheme = SCHEMES.get(quant.lower())
    if scheme is None:
        return None
    heads = facts.attention.kv_heads if facts.attention else tensor_parallel
    copies = {"all": tensor_parallel, "heads": min(tensor_parallel, heads), "none": 1}
    total = 0.0
    for share in _shares(facts, pipeline_parallel):
        if (share.part == "mtp" and not drafting) or (share.part == "lm_head" and not head):
            continue
        bits = scheme.bits.get(share.part) if share.linear else None
        total += share.elements * (scheme.rest if bits is None else bits / 8) / copies[share.divided]
    return total
