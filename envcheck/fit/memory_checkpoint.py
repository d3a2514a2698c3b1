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
from functools import lru_cache

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
    scheme = SCHEMES.get(quant.lower())
    if scheme is None:
        return None
    return sum(_tensor_bytes(tensor, scheme) for tensor in tensors(facts) if tensor.part != "mtp")


def _tensor_bytes(tensor: Tensor, scheme: Scheme) -> float:
    bits = scheme.bits.get(tensor.part) if tensor.kind == "linear" else None
    return tensor.elements * (scheme.rest if bits is None else bits / 8)


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


@lru_cache(maxsize=4096)
def gguf_weights(facts: ModelFacts, quant: str) -> GgufWeights | None:
    """Bytes by place of a GGUF file that `llama-quantize` would write; None for a type this table does not know."""
    base = _base(quant)
    if element_bytes(base) is None:
        return None
    embedding = output = total = 0.0
    layers = [0.0] * facts.layer_count
    for tensor in tensors(facts):
        if tensor.part in ("vision", "mtp"):
            continue  # a file of its own (mmproj), and left out of the text model's file
        size = tensor.elements * _gguf_element(tensor, facts, quant, base)
        total += size
        place = re.match(r"blk\.(\d+)\.", tensor.name)
        if place and int(place[1]) < facts.layer_count:
            layers[int(place[1])] += size
        elif tensor.part == "embedding":
            embedding += size
        elif tensor.part == "lm_head":
            output += size
    other = total - embedding - output - sum(layers)
    held = embedding if facts.tied else output
    return GgufWeights(
        total=total, embedding=embedding, output=held + other, tied=facts.tied, layers=tuple(layers), exact=True
    )


def _gguf_element(tensor: Tensor, facts: ModelFacts, quant: str, base: str) -> float:
    """Bytes of one element: f32 for vectors and small tensors, else what `llama_tensor_get_type` chooses."""
    if tensor.kind in ("vector", "plain") or tensor.part == "router":
        return 4.0
    kind = _gguf_type(tensor, facts, quant.upper(), base)
    size = element_bytes(kind) or 2.0
    if (kind.endswith("_k") or kind.startswith("iq")) and tensor.cols % 256:
        # Rows that do not divide into blocks of 256 fall back to blocks of 32.
        fallback = {"q2_k": "q4_0", "q3_k": "q4_0", "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}.get(kind, "iq4_nl")
        return element_bytes(fallback) or size
    return size


def _gguf_type(tensor: Tensor, facts: ModelFacts, quant: str, base: str) -> str:
    if base in ("f32", "f16", "bf16"):
        return base
    if base == "mxfp4":
        return "mxfp4" if tensor.part == "experts" else "q8_0"
    if tensor.part == "lm_head" or (tensor.part == "embedding" and facts.tied):
        return "q8_0" if base == "q8_0" else "q5_k" if quant.startswith(("IQ1", "IQ2", "IQ3_XXS")) else "q6_k"
    if tensor.part == "embedding":
        return _embedding_type(quant, base)
    return _mixed_type(tensor, facts, quant, base)


def _embedding_type(quant: str, base: str) -> str:
    if quant in ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
        return "q2_k"
    return "iq3_s" if quant in ("IQ2_S", "IQ2_M", "IQ3_XXS") else base


def _mixed_type(tensor: Tensor, facts: ModelFacts, quant: str, base: str) -> str:
    """The k-quant mixtures: values and down projections get more bits, in some layers or in all."""
    found = re.match(r"blk\.(\d+)\.(attn_v|attn_qkv|ffn_down\w*|attn_output)", tensor.name)
    if not found or quant not in _MORE:
        return base
    layer, name = int(found[1]), found[2]
    name = "ffn_down" if name.startswith("ffn_down") else name
    rules = _MORE[quant]
    wide, where = rules.get(name, (base, "none"))
    if where == "some":
        return wide if _uses_more_bits(layer, facts.layer_count) else base
    if where == "first":
        return wide if layer < facts.layer_count / 8 else base
    return wide if where == "all" else base


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
    models).
    """
    scheme = SCHEMES.get(quant.lower())
    if scheme is None:
        return None
    first = math.ceil(facts.layer_count / pipeline_parallel)
    total = 0.0
    for tensor in tensors(facts):
        place = re.match(r"blk\.(\d+)\.", tensor.name)
        if place and first <= int(place[1]) < facts.layer_count:
            continue
        if tensor.part == "lm_head" and (pipeline_parallel > 1 or not head):
            continue
        if tensor.part == "mtp" and not drafting:
            continue
        total += _tensor_bytes(tensor, scheme) / _shards(tensor, facts, tensor_parallel)
    return total


def _shards(tensor: Tensor, facts: ModelFacts, tensor_parallel: int) -> int:
    if tensor.part == "vision":
        return tensor_parallel
    if tensor.kind in ("vector", "plain") or tensor.part in ("router", "norm", "position"):
        return 1
    if re.search(r"\.attn_kv_a|\.attn_q_a|indexer", tensor.name):
        return 1  # the compressed projections of MLA are computed on every GPU
    if facts.attention and re.search(r"\.attn_[kv]\.", tensor.name):
        return min(tensor_parallel, facts.attention.kv_heads)
    return tensor_parallel
