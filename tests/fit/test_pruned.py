"""Mixtures published again with fewer experts, by the size in their name."""

from __future__ import annotations

import msgspec
import pytest

from envcheck.fit.model_names import take_apart
from envcheck.fit.models import find
from envcheck.fit.pruned import base_words, is_pruned, stated_size, with_fewer_experts
from envcheck.fit.tensors import parameter_count
from envcheck.schema.model import Experts, NotInCatalog, ResolvedModel
from tests.fit.made import PLAIN


@pytest.mark.parametrize(
    ("name", "base", "experts"),
    [  # the counts are those the publishers' cards state
        ("cerebras/Qwen3-Coder-REAP-246B-A35B-FP8", "Qwen3-Coder-480B-A35B", 80),
        ("cerebras/Qwen3-Coder-REAP-363B-A35B", "Qwen3-Coder-480B-A35B", 120),
        ("cerebras/MiniMax-M2-REAP-162B-A10B", "MiniMax-M2", 180),
    ],
)
def test_the_size_gives_the_number_of_experts(name: str, base: str, experts: int) -> None:
    found = find(name)
    assert isinstance(found, ResolvedModel)
    assert found.facts.name == base
    assert found.facts.experts is not None
    assert found.facts.experts.count == experts
    assert any(f"{experts} experts" in said for said in found.assumptions)


@pytest.mark.parametrize(
    "name",
    [
        "somebody/Qwen3-Coder-REAP-900B-A35B",  # larger than the model that was pruned
        "somebody/GLM-4.7-REAP-40",  # no size
        "somebody/Llama-3.1-REAP-6B",  # no mixture
        "somebody/Unheard-REAP-20B-A3B",
    ],
)
def test_a_size_that_no_number_of_experts_gives_is_unknown(name: str) -> None:
    assert isinstance(find(name), NotInCatalog)


def test_a_pruned_name_falls_apart() -> None:
    parts = take_apart("cerebras/GLM-4.6-REAP-218B-A32B-FP8")
    assert is_pruned(parts)
    assert stated_size(parts) == 218
    assert base_words(parts) == {"glm4.6"}
    assert not is_pruned(take_apart("zai-org/GLM-4.6"))


def test_experts_alone_are_fewer() -> None:
    mixture = msgspec.structs.replace(PLAIN, experts=Experts(count=64, used=4, ffn=1024), feed_forward="e", ffn=0)
    pruned = with_fewer_experts(mixture, parameter_count(mixture) / 1e9 * 0.6)
    assert pruned is not None
    assert pruned.experts is not None
    assert 4 <= pruned.experts.count < 64
    assert parameter_count(pruned) == pytest.approx(parameter_count(mixture) * 0.6, rel=0.02)
    assert with_fewer_experts(PLAIN, 4) is None
