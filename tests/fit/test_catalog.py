"""The shipped catalog: every entry is whole, says where it is from, and reproduces its published parameter count."""

from __future__ import annotations

import datetime as dt

import pytest

from envcheck.fit.models import catalog, find
from envcheck.fit.tensors import active_parameters, parameter_count, parameters, tensors
from envcheck.schema.model import ModelFacts, ResolvedModel

MODELS = catalog()


def _printed_precision(count: int) -> int:
    """Half of the last digit that a rounded count states: 8_300_000_000 → 50_000_000."""
    step = 1
    while count % (step * 10) == 0:
        step *= 10
    return step // 2


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_parameters_reproduce_the_published_count(model: ModelFacts) -> None:
    published = model.published_parameters
    assert published > 0
    allowed = max(published * 0.001, _printed_precision(published))
    assert abs(parameter_count(model) - published) <= allowed


@pytest.mark.parametrize("model", [m for m in MODELS if m.published_active], ids=lambda model: model.name)
def test_active_parameters_are_near_the_published_ones(model: ModelFacts) -> None:
    # Publishers count the embedding or not and round to "3B"; the order of magnitude is what this holds.
    assert active_parameters(model) == pytest.approx(model.published_active, rel=0.15)


def test_breadth() -> None:
    assert len(MODELS) >= 300
    assert sum(3e9 <= parameter_count(model) <= 35e9 for model in MODELS) >= 150


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_entry_is_whole(model: ModelFacts) -> None:
    assert model.source.startswith("https://")
    assert dt.date.fromisoformat(model.checked)
    assert len(model.layers()) == model.layer_count
    assert sum(parameters(model).values()) == sum(tensor.elements for tensor in tensors(model))
    assert all(tensor.elements > 0 for tensor in tensors(model))
    caches = [layer for layer in model.layers() if layer.caches]
    assert caches or model.recurrent or model.role == "encoder"


def test_names_are_unique() -> None:
    names = [model.name.lower() for model in MODELS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_name_finds_its_entry(model: ModelFacts) -> None:
    for name in (model.name, model.repo or model.name):
        found = find(name)
        assert isinstance(found, ResolvedModel)
        assert found.facts.name == model.name
        assert not found.assumptions
