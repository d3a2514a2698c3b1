"""Which type llama.cpp's quantizer gives each tensor of a GGUF file, and so how large the file is.

The rules are those of `llama_tensor_get_type_impl` and `tensor_allows_quantization` in
https://github.com/ggml-org/llama.cpp/blob/007dbbf3fd17eefe9b47fee45f48f7ba5e62b714/src/llama-quant.cpp, block sizes
those of https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h. Checked 2026-11-21.
"""

from __future__ import annotations

from functools import lru_cache

from envcheck.fit.gguf_mixes import FINE, TINY, VALUES, Mix, Walk
from envcheck.fit.tensors import Part, Tensor, stack, tensors
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record
from envcheck.schema.model import LatentAttention, ModelFacts

BLOCKS: dict[str, tuple[int, int]] = {
    "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "F64": (1, 8), "I8": (1, 1), "I16": (1, 2), "I32": (1, 4),
    "I64": (1, 8),
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34), "Q8_1": (32, 36),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210), "Q8_K": (256,
    292),
    "IQ1_S": (256, 50), "IQ1_M": (256, 56), "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98), "IQ3_S": (256, 110), "IQ4_NL": (32, 18), "IQ4_XS": (256, 136), "TQ1_0": (256, 54),
    "TQ2_0": (256, 66), "MXFP4": (32, 17), "NVFP4": (64, 36),
}  # fmt: skip
"""Elements and bytes of one block of each ggml type."""

FILE_TYPES: dict[str, str] = {
    "F32": "F32", "F16": "F16", "BF16": "BF16", "Q4_0": "Q4_0", "Q4_1": "Q4_1", "Q5_0": "Q5_0", "Q5_1": "Q5_1",
    "Q8_0": "Q8_0", "Q2_K": "Q2_K", "Q2_K_S": "Q2_K", "Q3_K_S": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_L": "Q3_K",
    "Q4_K_S": "Q4_K", "Q4_K_M": "Q4_K", "Q5_K_S": "Q5_K", "Q5_K_M": "Q5_K", "Q6_K": "Q6_K", "IQ1_S": "IQ1_S",
    "IQ1_M": "IQ1_M", "IQ2_XXS": "IQ2_XXS", "IQ2_XS": "IQ2_XS", "IQ2_S": "IQ2_XS", "IQ2_M": "IQ2_S",
    "IQ3_XXS": "IQ3_XXS",
    "IQ3_XS": "IQ3_S", "IQ3_S": "IQ3_S", "IQ3_M": "IQ3_S", "IQ4_NL": "IQ4_NL", "IQ4_XS": "IQ4_XS", "TQ1_0": "TQ1_0",
    "TQ2_0": "TQ2_0", "MXFP4_MOE": "MXFP4",
}  # fmt: skip
"""File type → the type most tensors get."""

_FALLBACK = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0",
}  # fmt: skip
PLACELESS = frozenset(
    {"F32", "F16", "BF16", "Q4_1", "Q5_1", "Q8_0", "Q2_K", "Q3_K_S", "Q3_K_L", "Q5_K_S", "Q6_K", "IQ3_S", "MXFP4_MOE"}
)
"""File types in which layers of one kind get the same types wherever they are: no rule looks at the counts."""


class TypedTensor(Record):
    """A tensor with the ggml type it has in a file."""

    tensor: Tensor
    type: str
    nbytes: int


def type_bytes(kind: str, rows: int, cols: int) -> int:
    """Bytes of a matrix of this ggml type; `cols` is the contiguous dimension, in whole blocks."""
    elements, size = BLOCKS[kind]
    return rows * -(-cols // elements) * size


def gguf_bytes(facts: ModelFacts, file_type: str, imatrix: bool | None = None) -> dict[Part, int]:
    """Bytes by part of the GGUF file llama-quantize writes for this model (tensors only; towers have their own file).

    `imatrix`: whether an importance matrix was used, which changes a few types; None: only for the IQ types.
    Raises InputError for an unknown file type.
    """
    total: dict[Part, int] = {}
    for typed in gguf_tensors(facts, file_type, imatrix):
        total[typed.tensor.part] = total.get(typed.tensor.part, 0) + typed.nbytes
    return total


def gguf_tensors(facts: ModelFacts, file_type: str, imatrix: bool | None = None) -> tuple[TypedTensor, ...]:
    """Every tensor of that file with its type and bytes."""
    if file_type not in FILE_TYPES:
        raise InputError(f"no GGUF file type {file_type!r}; known are {', '.join(FILE_TYPES)}")
    quantizer = Quantizer(facts, file_type, file_type.startswith("IQ") if imatrix is None else imatrix)
    return tuple(
        TypedTensor(tensor=tensor, type=kind, nbytes=type_bytes(kind, tensor.rows, tensor.cols) * tensor.copies)
        for tensor in in_file(facts)
        for kind in (quantizer.type_of(tensor),)
    )


@lru_cache(maxsize=512)
def in_file(facts: ModelFacts) -> tuple[Tensor, ...]:
    """The tensors that a converter writes: towers get a file of their own, most drop the prediction layers."""
    return tuple(tensor for tensor in tensors(facts) if is_written(tensor))


def is_written(tensor: Tensor) -> bool:
    """Whether a converter writes this tensor into the model's own file."""
    if tensor.part in ("vision", "mtp"):
        return False
    return tensor.part != "other" or tensor.name.startswith(("blk.", "per_"))


def is_small(tensor: Tensor) -> bool:
    """Whether a tensor is never quantized: norms, biases, convolutions, positions."""
    return tensor.kind in ("vector", "plain") or tensor.name in ("position_embd.weight", "token_types.weight")


def is_kept(facts: ModelFacts, tensor: Tensor) -> bool:
    """Whether the converter keeps what the publisher quantized (MXFP4 experts)."""
    return facts.precision == "mxfp4" and tensor.part == "experts"


@lru_cache(maxsize=512)
def _value_count(facts: ModelFacts) -> int:
    outside, kinds, layers, beside = stack(facts)
    counts = [sum(tensor.name.endswith(VALUES) for tensor in kind) for kind in kinds]
    more = sum(tensor.name.endswith(VALUES) for tensor in outside + beside if tensor.part != "mtp")
    return more + sum(counts[kind] for kind in layers)


class Quantizer:
    """Walks the tensors in file order, as llama-quantize does."""

    def __init__(self, facts: ModelFacts, file_type: str, imatrix: bool) -> None:
        self.facts, self.file_type = facts, file_type
        self.base = FILE_TYPES[file_type]
        self.mix = mix_of(facts, file_type, imatrix)
        self.walk = Walk(self.mix)

    def nbytes(self, tensor: Tensor) -> int:
        """Bytes of this tensor in the file; like `type_of` once per tensor, in order."""
        return type_bytes(self.type_of(tensor), tensor.rows, tensor.cols) * tensor.copies

    def type_of(self, tensor: Tensor) -> str:
        """The type this tensor gets; must be called once per tensor, in order."""
        if is_small(tensor):
            return "F32"
        if is_kept(self.facts, tensor):
            return "MXFP4"
        if self.base in ("F32", "F16", "BF16"):
            return self.base
        if "per_layer_model_proj" in tensor.name:
            return "F16"
        return fallback(self._mixed(tensor), tensor.cols)

    def _mixed(self, tensor: Tensor) -> str:
        name = tensor.name
        if name == "output.weight" or (self.facts.tied and "token_embd" in name):
            return self._output(tensor)
        if self.file_type == "MXFP4_MOE":
            return "MXFP4" if tensor.copies > 1 else "Q8_0"
        if "token_embd" in name:
            return self._embedding()
        short = name.split(".", 2 if name.startswith("blk.") else 1)[-1]
        return self.walk.in_layer(short, tensor.layer if self.mix.experts > 1 else -1)

    def _output(self, tensor: Tensor) -> str:
        if self.file_type == "MXFP4_MOE" or self.mix.falcon or tensor.cols % BLOCKS[self.base][0]:
            return "Q8_0"
        if self.file_type in (*TINY, "IQ3_XXS"):
            return "Q5_K"
        return "Q8_0" if self.base == "Q8_0" else "Q6_K"

    def _embedding(self) -> str:
        if self.file_type in ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
            return "Q2_K"
        if self.file_type in (*FINE, "IQ3_XXS"):
            return "IQ3_S"
        return "Q4_K" if self.file_type in ("TQ1_0", "TQ2_0") else self.base


@lru_cache(maxsize=64)
def mix_of(facts: ModelFacts, file_type: str, imatrix: bool) -> Mix:
    """What the mix of types looks at in this model."""
    first = None if isinstance(facts.latent, LatentAttention) else facts.attention or facts.local
    return Mix(
        file_type=file_type,
        base=FILE_TYPES[file_type],
        imatrix=imatrix,
        layers=facts.layer_count,
        values=_value_count(facts),
        many_heads=first is not None and first.heads // max(first.kv_heads, 1) >= 4,
        experts=facts.experts.count if facts.experts else 0,
        falcon=facts.architecture == "falcon",
        wide_values=facts.layer_count == 80 and facts.architecture in ("llama", "qwen2"),
    )


def fallback(kind: str, cols: int) -> str:
    """The type in place of `kind` where rows do not divide into its blocks."""
    if cols % BLOCKS[kind][0] == 0:
        return kind
    other = _FALLBACK.get(kind, kind)
    return other if cols % BLOCKS[other][0] == 0 else "F16"
