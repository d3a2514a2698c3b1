"""Bytes of a GGUF file by place, for many models and file types in little time."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from envcheck.fit.gguf_mixes import FEED_FORWARD, VALUES, types_by_layer
from envcheck.fit.gguf_types import (
    FILE_TYPES,
    PLACELESS,
    Quantizer,
    fallback,
    is_kept,
    is_small,
    is_written,
    type_bytes,
)
from envcheck.fit.tensors import Tensor, stack
from envcheck.schema.errors import InputError
from envcheck.schema.model import ModelFacts


class PlacedBytes(NamedTuple):
    """Bytes of a file by place."""

    outside: dict[str, int]
    """By tensor name: embedding, head and what else is beside the layers."""
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    """The routed experts' part of each layer."""


def placed_bytes(facts: ModelFacts, file_type: str) -> PlacedBytes:
    """What `gguf_tensors` lists, summed by place; layers of one shape are typed once where the quantizer has no choice.

    Raises InputError for an unknown file type.
    """
    if file_type not in FILE_TYPES:
        raise InputError(f"no GGUF file type {file_type!r}; known are {', '.join(FILE_TYPES)}")
    quantizer = Quantizer(facts, file_type, file_type.startswith("IQ"))
    plan = _plan(facts, file_type == "IQ3_XS", file_type in PLACELESS)
    outside = {tensor.name: quantizer.nbytes(tensor) for tensor in plan.outside}
    names = tuple(tuple(sized.short for sized in kind.counted) for kind in plan.kinds)
    types = types_by_layer(quantizer.mix, names, plan.layers) if any(names) else ((),) * len(plan.layers)
    makes = tuple(zip(plan.layers, types, strict=True))
    fixed = [_fixed(quantizer, kind) for kind in plan.kinds]
    sums = {make: _sums(fixed[make[0]], plan.kinds[make[0]].counted, make[1]) for make in set(makes)}
    return PlacedBytes(outside, tuple(sums[make][0] for make in makes), tuple(sums[make][1] for make in makes))


class _Sized:
    """One tensor of every layer of a kind, and its bytes in the few types that it gets in any file."""

    __slots__ = ("_sizes", "routed", "short", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.short = tensor.name.split(".", 2)[2]
        self.routed = "_exps." in tensor.name
        self._sizes: dict[str, int] = {}

    def nbytes(self, kind: str) -> int:
        """Bytes in all where the mix wants this type."""
        size = self._sizes.get(kind)
        if size is None:
            tensor = self.tensor
            size = type_bytes(fallback(kind, tensor.cols), tensor.rows, tensor.cols) * tensor.copies
            self._sizes[kind] = size
        return size


class _Kind(NamedTuple):
    """Layers of one make."""

    small: int
    """Bytes of norms, biases and the like: f32 in every file."""
    small_routed: int
    """The routed experts' part of them."""
    alike: tuple[_Sized, ...]
    """Tensors whose type does not depend on the layer's place."""
    counted: tuple[_Sized, ...]
    """Tensors that the quantizer counts."""


def _fixed(quantizer: Quantizer, kind: _Kind) -> tuple[int, int]:
    """Bytes of what all layers of a kind have alike, and of the routed experts in it."""
    whole, routed = kind.small, kind.small_routed
    for sized in kind.alike:
        size = sized.nbytes(quantizer.type_of(sized.tensor))
        whole += size
        routed += size * sized.routed
    return whole, routed


def _sums(fixed: tuple[int, int], counted: tuple[_Sized, ...], types: tuple[str, ...]) -> tuple[int, int]:
    """The same of a layer whose counted tensors get these types."""
    whole, routed = fixed
    for sized, kind in zip(counted, types, strict=True):
        size = sized.nbytes(kind)
        whole += size
        routed += size * sized.routed
    return whole, routed


class _Plan(NamedTuple):
    outside: tuple[Tensor, ...]
    kinds: tuple[_Kind, ...]
    layers: tuple[int, ...]
    """Per layer its kind."""


@lru_cache(maxsize=64)
def _plan(facts: ModelFacts, counting_all: bool, placeless: bool) -> _Plan:
    """The tensors by place; gate and up projections are counted in one file type only (`counting_all`).

    In a `placeless` file type nothing needs counting.
    """
    counting = () if placeless else (*VALUES, *(FEED_FORWARD if counting_all else FEED_FORWARD[:1]))
    outside, kinds, layers, beside = stack(facts)
    return _Plan(
        outside=tuple(tensor for tensor in outside + beside if is_written(tensor)),
        kinds=tuple(_kind(facts, kind, counting) for kind in kinds),
        layers=layers,
    )


def _kind(facts: ModelFacts, tensors: tuple[Tensor, ...], counting: tuple[str, ...]) -> _Kind:
    small = small_routed = 0
    alike: list[_Sized] = []
    counted: list[_Sized] = []
    for tensor in tensors:
        sized = _Sized(tensor)
        if is_small(tensor):
            small += sized.nbytes("F32")
            small_routed += sized.nbytes("F32") * sized.routed
            continue
        counts = sized.short.startswith(counting) and not is_kept(facts, tensor)
        (counted if counts else alike).append(sized)
    return _Kind(small, small_routed, tuple(alike), tuple(counted))
