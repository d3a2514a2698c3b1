"""Bytes of a GGUF file by place, for many models and file types in little time."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from envcheck.fit.gguf_types import FEED_FORWARD, FILE_TYPES, PLACELESS, VALUES, Quantizer, is_written
from envcheck.fit.tensors import Tensor, in_layer, stack
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
    fixed = [_sums(quantizer, alike) for alike in plan.alike]
    layers, experts = [], []
    for kind, counted in plan.layers:
        whole, routed = fixed[kind]
        if counted:
            more, more_routed = _sums(quantizer, counted)
            whole, routed = whole + more, routed + more_routed
        layers.append(whole)
        experts.append(routed)
    return PlacedBytes(outside, tuple(layers), tuple(experts))


def _sums(quantizer: Quantizer, some: tuple[Tensor, ...]) -> tuple[int, int]:
    """Bytes of all these tensors, and of the routed experts among them."""
    whole = routed = 0
    for tensor in some:
        size = quantizer.nbytes(tensor)
        whole += size
        if "_exps." in tensor.name:
            routed += size
    return whole, routed


class _Plan(NamedTuple):
    outside: tuple[Tensor, ...]
    alike: tuple[tuple[Tensor, ...], ...]
    """Per kind of layer, the tensors whose type does not depend on the layer's place."""
    layers: tuple[tuple[int, tuple[Tensor, ...]], ...]
    """Per layer its kind, and the tensors that the quantizer counts."""


@lru_cache(maxsize=512)
def _plan(facts: ModelFacts, counting_all: bool, placeless: bool) -> _Plan:
    """The tensors by place; gate and up projections are counted in one file type only (`counting_all`).

    In a `placeless` file type nothing needs counting.
    """
    names = FEED_FORWARD if counting_all else FEED_FORWARD[:1]
    outside, kinds, layers, beside = stack(facts)
    alike, counted = [], []
    for kind in kinds:
        counts = [not placeless and _counts(tensor, names) for tensor in kind]
        alike.append(tuple(tensor for tensor, counting in zip(kind, counts, strict=True) if not counting))
        counted.append(tuple(tensor for tensor, counting in zip(kind, counts, strict=True) if counting))
    return _Plan(
        outside=tuple(tensor for tensor in outside + beside if is_written(tensor)),
        alike=tuple(alike),
        layers=tuple((kind, tuple(in_layer(t, layer) for t in counted[kind])) for layer, kind in enumerate(layers)),
    )


def _counts(tensor: Tensor, names: tuple[str, ...]) -> bool:
    short = tensor.name.split(".", 2)[2]
    return tensor.kind not in ("vector", "plain") and (short in VALUES or short.startswith(names))
