"""Transformers' peak: cache, activations and logits by version."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit.memory_transformers import REST, Generation, activation_bytes, cache_bytes, memory, state_bytes
from envcheck.schema.model import ModelFacts
from tests.fit.made import ALL, HYBRID, LATENT, PLAIN, WINDOWED


def test_the_sum_is_its_terms() -> None:
    found = memory(PLAIN, 16e9, Generation(prompt=1, generated=2047, version=(4, 51), prompt_activations=False))
    assert found.total == found.weights + found.cache + found.rest
    assert (found.cache, found.rest) == (2048 * 131072, REST)


def test_logits_of_the_whole_prompt_until_4_45() -> None:
    old = activation_bytes(PLAIN, Generation(prompt=30720, generated=1, version=(4, 41)))
    assert old == 30720 * 128256 * 6
    assert activation_bytes(PLAIN, Generation(prompt=30720, generated=1, version=(4, 46))) < old / 5


def test_windows_are_kept_apart_since_4_56() -> None:
    long = Generation(prompt=30000, generated=0, version=(4, 55))
    assert cache_bytes(WINDOWED, long) == 30000 * (25 * 4096 + 5 * 2048) * 2
    assert cache_bytes(WINDOWED, Generation(prompt=30000, generated=0)) == (25 * 1024 * 4096 + 5 * 30000 * 2048) * 2


def test_latent_attention_is_cached_expanded() -> None:
    assert cache_bytes(LATENT, Generation(prompt=100, generated=0)) == 100 * 27 * 16 * (192 + 128) * 2


def test_recurrent_state_does_not_depend_on_the_context() -> None:
    short, long = (state_bytes(HYBRID, Generation(prompt=n, generated=1)) for n in (10, 10000))
    assert short == long == 48 * (3 * 10240 * 2 + 6144 * 128 * 4)


def test_scores_without_flash_attention_grow_with_the_square() -> None:
    small, large = (
        activation_bytes(PLAIN, Generation(prompt=n, generated=1, flash_attention=False)) for n in (8192, 16384)
    )
    assert large / small == pytest.approx(4, rel=0.01)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ALL), st.integers(1, 131072), st.integers(1, 131072), st.integers(1, 8),
    st.sampled_from(((), (4, 41), (4, 46), (4, 51), (4, 57))),
)  # fmt: skip
def test_a_longer_prompt_never_needs_less(
    facts: ModelFacts, a: int, b: int, batch: int, version: tuple[int, ...]
) -> None:
    short, long = (
        memory(facts, 1e9, Generation(prompt=n, generated=64, batch=batch, version=version)).total
        for n in sorted((a, b))
    )
    assert short <= long
