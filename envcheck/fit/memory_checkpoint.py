"""Bytes of a model's weights as an engine holds them: by place in a GGUF file, and per GPU of a vLLM group.

Which tensor gets how many bytes is decided in `envcheck.fit.gguf_types` and `envcheck.fit.checkpoints`; here they are
put where engines put them. Three schemes are an engine's own doing while it loads and no file format: bitsandbytes
without nested scales (4.5 bits: 7B-sized logs of vLLM), int8 experts, and fp8 by rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from typing import Literal, cast

from envcheck.fit.checkpoints import SCHEMES, Scheme, quantized_parts, tensor_bytes, wide_layers
from envcheck.fit.gguf_placed import placed_bytes
from envcheck.fit.gguf_types import BLOCKS, FILE_TYPES
from envcheck.fit.memory_gguf_weights import GgufWeights
from envcheck.fit.recipes import recipe
from envcheck.fit.tensors import Part, Tensor, stack
from envcheck.schema.facts import Record
from envcheck.schema.model import ModelFacts, StoredTensor
from envcheck.schema.tables import Recipe

_BITS = {"bnb-4bit": 4.5, "bnb-4bit-nested": 4 + 8 / 64 + 32 / (64 * 256), "experts_int8": 8.0}
"""Bits of a weight where the engine itself quantizes: 4 and an f32 maximum for every 64, and whole bytes. Files that
were quantized before ("nested") hold those maxima in 8 bit, and vLLM widened them to f32 from 0.10 on."""
_EXPERTS: frozenset[Part] = frozenset({"experts", "mlp"})
_BPW = {"bf16": 16.0, "fp16": 16.0, "fp32": 32.0, "fp8": 8.0, "fp8-block": 8.0, "int8": 8.0, "bnb-int8": 8.0,
        "gptq-int8": 8.2, "awq": 4.16, "gptq-int4": 4.16, "int4": 4.5, "w4a16": 4.13, "bnb-4bit": 4.5, "nvfp4": 4.5,
        "mxfp4": 4.25}  # fmt: skip
"""Nominal bits of a quantized weight, to order schemes by."""


def known_quant(quant: str, gguf: bool) -> bool:
    """Whether a name is a quantization that GGUF files (or, else, checkpoints) come in."""
    if gguf:
        return quant.upper() in FILE_TYPES
    return quant.lower() in SCHEMES or quant.lower() in _BITS


def bits_per_parameter(quant: str) -> float:
    """Nominal bits of one weight, to order quantizations by; unknown names count as 16."""
    if quant.lower() in _BPW:
        return _BPW[quant.lower()]
    elements, size = BLOCKS[FILE_TYPES.get(quant.upper(), "F16")]
    return 8 * size / elements + {"M": 0.3, "L": 0.6}.get(quant.upper()[-1:], 0.0)


_LOOKED_UP = frozenset(
    ("token_embd.weight", "per_layer_token_embd.weight", "position_embd.weight", "token_types.weight")
)
"""Tables of the input, which llama.cpp keeps in host memory however many layers a GPU holds (`LLM_TENSOR_LAYER_INPUT`
in `src/llama-arch.cpp`; Gemma 3n's per-layer embeddings: ggml-org/llama.cpp#14430)."""


@lru_cache(maxsize=64)
def gguf_weights(facts: ModelFacts, quant: str) -> GgufWeights | None:
    """Bytes by place of a GGUF file that `llama-quantize` would write; None for a type it does not know."""
    if quant.upper() not in FILE_TYPES:
        return None
    outside, layers, experts = placed_bytes(facts, quant.upper())
    return _weights(outside.items(), layers, experts, facts.tied, facts.role == "encoder")


def weights_of_file(listed: tuple[StoredTensor, ...], facts: ModelFacts) -> GgufWeights:
    """Bytes by place of the very file whose tensor table was read."""
    layer_count = facts.layer_count
    layers = [0.0] * layer_count
    experts = [0.0] * layer_count
    outside: list[tuple[str, int]] = []
    for name, size in ((tensor.name, tensor.nbytes) for tensor in listed):
        place = int(name[4 : name.index(".", 4)]) if name.startswith("blk.") else -1
        if 0 <= place < layer_count:
            layers[place] += size
            if "_exps." in name:
                experts[place] += size
        elif place < 0:
            outside.append((name, size))
    tied = all(name != "output.weight" for name, _ in outside)
    return _weights(outside, layers, experts, tied, facts.role == "encoder")


def _weights(
    outside: Iterable[tuple[str, float]],
    layers: Iterable[float],
    experts: Iterable[float],
    tied: bool,
    encoder: bool,
) -> GgufWeights:
    layers, experts = tuple(map(float, layers)), tuple(map(float, experts))
    looked_up = other = shared = 0.0
    for name, size in outside:
        if name not in _LOOKED_UP:
            other += size  # the head and what is beside the stack
            continue
        looked_up += size
        if name == "token_embd.weight" and tied and not encoder:
            shared += size
    return GgufWeights(
        total=looked_up + other + sum(layers),
        embedding=looked_up,
        output=other + shared,
        tied=tied,
        layers=layers,
        exact=True,
        experts=experts if any(experts) else (),
    )


@lru_cache(maxsize=64)
def stored_bytes(facts: ModelFacts, quant: str) -> float | None:
    """Bytes of all weights an engine loads from a checkpoint in a scheme ("awq", "fp8", …); None for an unknown scheme.

    Layers for multi-token prediction stay in the file unless drafting is asked for.
    """
    return checkpoint_per_gpu(facts, quant, 1, 1)


@lru_cache(maxsize=1024)
def largest_linear(facts: ModelFacts) -> int:
    """Elements of the largest linear layer of the stack (one expert counts by itself)."""
    parts = ("attention", "mlp", "experts", "shared_experts", "recurrent")
    outside, kinds, _, beside = stack(facts)
    some = (*outside, *chain.from_iterable(kinds), *beside)
    return max((t.rows * t.cols for t in some if t.kind == "linear" and t.part in parts), default=0)


Divided = Literal["all", "heads", "none"]
"""Over all GPUs of a group, over as many as there are key-value heads, or held in full by each."""


_Likeness = tuple[Part, str, int, int, int, bool, Divided]


class _Alike(Record, gc=False):
    """Tensors of one shape and part that GPUs share alike."""

    tensor: Tensor
    count: int
    divided: Divided
    wide: bool
    """In 16 bit whatever the scheme."""


@lru_cache(maxsize=2048)
def _alike(facts: ModelFacts, pipeline_parallel: int, wide: frozenset[int]) -> tuple[_Alike, ...]:
    """The first pipeline stage's tensors, equal ones counted."""
    first = math.ceil(facts.layer_count / pipeline_parallel)
    outside, kinds, layers, beside = stack(facts)
    counts: Counter[_Likeness] = Counter()
    samples: dict[_Likeness, Tensor] = {}

    def add(tensor: Tensor, kept: bool, times: int) -> None:
        key = (tensor.part, tensor.kind, tensor.rows, tensor.cols, tensor.copies, kept, _divided(tensor))
        counts[key] += times
        samples[key] = tensor

    for tensor in outside:
        if pipeline_parallel == 1 or tensor.part != "lm_head":
            add(tensor, False, 1)
    alike = Counter((kind, layer in wide) for layer, kind in enumerate(layers[:first]))
    for (kind, kept), times in alike.items():
        for tensor in kinds[kind]:
            add(tensor, kept, times)
    for tensor in beside:
        add(tensor, tensor.layer in wide, 1)
    return tuple(_Alike(tensor=samples[key], count=n, wide=key[-2], divided=key[-1]) for key, n in counts.items())


def _divided(tensor: Tensor) -> Divided:
    if tensor.part == "vision":
        return "all"
    if tensor.kind in ("vector", "plain") or tensor.part in ("router", "norm", "position"):
        return "none"
    name = tensor.name
    if ".attn_kv_a" in name or ".attn_q_a" in name or ".indexer" in name:
        return "none"  # the compressed projections of MLA are computed on every GPU
    return "heads" if ".attn_k." in name or ".attn_v." in name else "all"


@lru_cache(maxsize=64)
def checkpoint_per_gpu(
    facts: ModelFacts,
    quant: str,
    tensor_parallel: int,
    pipeline_parallel: int,
    drafting: bool = False,
    head: bool = True,
    tower: bool = True,
    speech: bool = True,
) -> float | None:
    """Bytes on the first GPU of a vLLM group: sharded linear layers and vocabulary, norms and surplus heads in full.

    `drafting` loads the layers for multi-token prediction too; without `head` the output layer is left out (embedding
    models), without `tower` the image encoder (text only), without `speech` what makes sound of the answer. None for an
    unknown scheme.
    """
    scheme = quant.lower()
    if not known_quant(scheme, gguf=False):
        return None
    own = recipe(facts, scheme, facts.quantized_by)
    wide = wide_layers(facts, "fp8" if own and own.wide_attention else scheme)
    heads = facts.attention.kv_heads if facts.attention else tensor_parallel
    copies = {"all": tensor_parallel, "heads": min(tensor_parallel, heads), "none": 1}
    total = 0.0
    spoken = {part.name for part in facts.parts if part.speaks}
    left_out = {part for part, loaded in (("mtp", drafting), ("lm_head", head), ("vision", tower)) if not loaded}
    for alike in _alike(facts, pipeline_parallel, wide):
        if alike.tensor.part in left_out or (not speech and alike.tensor.name in spoken):
            continue
        size = alike.tensor.elements * 2.0 if alike.wide else _tensor_bytes(facts, alike.tensor, scheme, own)
        total += alike.count * size / copies[alike.divided]
    return total


def _tensor_bytes(facts: ModelFacts, tensor: Tensor, scheme: str, own: Recipe | None) -> float:
    if own is not None:
        made = own.parts.get(tensor.part)
        return tensor_bytes(tensor, cast("Scheme", made or "bf16"), frozenset({tensor.part} if made else ()))
    if scheme in _BITS:
        shrunk = _EXPERTS if scheme == "experts_int8" else quantized_parts(facts, "int8")
        if tensor.kind == "linear" and tensor.part in shrunk:
            return tensor.elements * _BITS[scheme] / 8
        return tensor.elements * 2.0
    named = cast("Scheme", scheme)
    parts = quantized_parts(facts, named)
    if scheme == "nvfp4" and parts == {"experts"}:
        parts |= {"mtp"}  # drafting layers have the same experts, and they are shrunk alike
    return tensor_bytes(tensor, named, parts)
