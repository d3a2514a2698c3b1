"""Which parts a publisher shrinks."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from envcheck.fit.checkpoints import SCHEMES
from envcheck.fit.memory_checkpoint import checkpoint_per_gpu
from envcheck.fit.models import catalog, find
from envcheck.fit.recipes import owner, recipe, recipes
from envcheck.fit.tensors import Part
from envcheck.schema.model import ModelFacts, ResolvedModel


def facts(name: str) -> ModelFacts:
    found = find(name)
    assert isinstance(found, ResolvedModel)
    return found.facts


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nvidia/Qwen3.6-27B-NVFP4", "nvidia"),
        ("RedHatAI/gemma-4-26B-A4B-it-NVFP4", "redhatai"),
        ("Qwen3.6-27B-NVFP4", ""),
        ("/models/nvidia/Qwen3.6-27B-NVFP4", ""),
        ("./models", ""),
        ("", ""),
    ],
)
def test_the_owner_of_a_repository(name: str, expected: str) -> None:
    assert owner(name) == expected


def test_every_recipe_is_whole() -> None:
    names = {model.name for model in catalog()}
    architectures = {model.architecture for model in catalog()}
    for row in recipes():
        assert row.source.startswith("https://")
        assert set(row.parts) <= set(get_args(Part))
        assert set(row.models) <= names
        assert set(row.architectures) <= architectures
        assert set(row.parts.values()) <= set(SCHEMES)


def by(model: str, publisher: str) -> ModelFacts:
    return msgspec.structs.replace(facts(model), quantized_by=publisher)


def test_a_publisher_without_a_recipe_shrinks_what_the_scheme_does() -> None:
    usual = checkpoint_per_gpu(facts("Qwen3.6-27B"), "nvfp4", 1, 1)
    assert recipe(facts("Qwen3.6-27B"), "nvfp4", "somebody") is None
    assert checkpoint_per_gpu(by("Qwen3.6-27B", "somebody"), "nvfp4", 1, 1) == usual


@pytest.mark.parametrize(
    ("name", "publisher"),
    [
        ("nvidia/Qwen3.6-27B-NVFP4", "nvidia"),
        ("nvidia/Qwen3.6-27B-FP8", ""),  # no recipe for that scheme
        ("Qwen/Qwen3.6-27B", ""),
        ("meta-llama/Llama-3.1-405B-Instruct-FP8", ""),  # as names without an owner
        ("RedHatAI/Meta-Llama-3.1-405B-Instruct-FP8", "redhatai"),
    ],
)
def test_a_name_carries_its_owner_where_that_matters(name: str, publisher: str) -> None:
    assert facts(name).quantized_by == publisher


@pytest.mark.parametrize(
    ("model", "scheme", "publisher", "gib"),
    [  # files as vLLM prints their size while it loads them
        ("Gemma-4-26B-A4B", "nvfp4", "redhatai", 15.30),
        ("Gemma-4-26B-A4B", "nvfp4", "nvidia", 17.50),
        ("Qwen3.6-35B-A3B", "nvfp4", "redhatai", 23.32),
        ("Qwen3.6-35B-A3B", "nvfp4", "nvidia", 21.82),
    ],
)
def test_files_are_as_large_as_their_parts(model: str, scheme: str, publisher: str, gib: float) -> None:
    size = checkpoint_per_gpu(by(model, publisher), scheme, 1, 1, drafting=True)
    assert size is not None
    assert size / 2**30 == pytest.approx(gib, rel=0.003)


def test_layers_that_stay_wide_weigh_more() -> None:
    own = checkpoint_per_gpu(by("Nemotron-3-Nano-30B-A3B", "nvidia"), "nvfp4", 1, 1)
    everything = checkpoint_per_gpu(facts("Nemotron-3-Nano-30B-A3B"), "fp8", 1, 1)
    assert own is not None
    assert everything is not None
    assert own < everything * 0.65
