"""Bytes of a GGUF file by place, for many models and file types in little time."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from envcheck.fit.gguf_types import FEED_FORWARD, FILE_TYPES, VALUES, Quantizer, in_file
from envcheck.fit.tensors import Tensor
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
    plan = _plan(facts, counting_all=file_type == "IQ3_XS")
    outside = {tensor.name: quantizer.nbytes(tensor) for tensor in plan.outside}
    fixed = [_sums(quantizer, alike) for alike in plan.alike]
    layers, experts = [], []
    for kind, counted in plan.layers:
        whole, routed = fixed[kind]
        more, more_routed = _sums(quantizer, counted)
        layers.append(whole + more)
        experts.append(routed + more_routed)
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
def _plan(facts: ModelFacts, counting_all: bool) -> _Plan:
    """The tensors by place; gate and up projections are counted in one file type only (`counting_all`)."""
    names = FEED_FORWARD if counting_all else FEED_FORWARD[:1]
    outside: list[Tensor] = []
    fixed: list[list[Tensor]] = [[] for _ in range(facts.layer_count)]
    counted: list[list[Tensor]] = [[] for _ in range(facts.layer_count)]
    for tensor in in_file(facts):
        if not tensor.name.startswith("blk."):
            outside.append(tensor)
            continue
        _, place, short = tensor.name.split(".", 2)
        counts = tensor.kind not in ("vector", "plain") and (short in VALUES or short.startswith(names))
        (counted if counts else fixed)[int(place)].append(tensor)
    kinds: dict[tuple[tuple[object, ...], ...], int] = {}
    samples: list[tuple[Tensor, ...]] = []
    layers = []
    for some, rest in zip(fixed, counted, strict=True):
        shape = tuple((t.name.split(".", 2)[2], t.rows, t.cols, t.copies, t.kind, t.part) for t in some)
        if shape not in kinds:
            kinds[shape] = len(samples)
            samples.append(tuple(some))
        layers.append((kinds[shape], tuple(rest)))
    return _Plan(tuple(outside), tuple(samples), tuple(layers))
