"""Cached elements of fewer bytes: never more memory, in any engine that has them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit.estimate import answer
from envcheck.fit.memory_hparams import from_facts
from envcheck.fit.memory_llama_cache import cache_bytes, state_bytes
from envcheck.fit.memory_llama_settings import LlamaSettings
from envcheck.fit.memory_types import element_bytes
from envcheck.fit.memory_vllm_cache import Started, capacity_tokens, request_bytes
from envcheck.schema.model import ModelFacts
from tests.fit.made import ALL
from tests.fit.test_memory_llama import request

KINDS = sorted(("f32", "f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"), key=lambda kind: -(element_bytes(kind) or 0))
models = st.sampled_from(ALL)
contexts = st.integers(1, 131072)


@settings(max_examples=60, deadline=None)
@given(models, contexts, st.integers(1, 8), st.booleans(), st.booleans())
def test_llama_cpp(facts: ModelFacts, context: int, sequences: int, unified: bool, full: bool) -> None:
    sizes = []
    for kind in KINDS:
        told = LlamaSettings(
            context=context, sequences=sequences, unified=unified, full_window_cache=full, type_k=kind, type_v=kind,
            latent_cache=True,
        )  # fmt: skip
        sizes.append(sum(cache_bytes(from_facts(facts), told)))
        plain = LlamaSettings(context=context, sequences=sequences)
        assert state_bytes(from_facts(facts), told) == state_bytes(from_facts(facts), plain)
    assert sizes == sorted(sizes, reverse=True)


@settings(max_examples=60, deadline=None)
@given(models, st.integers(16, 131072), st.sampled_from((1, 2, 4, 8)), st.floats(1e9, 1e11))
def test_vllm(facts: ModelFacts, length: int, tensor: int, budget: float) -> None:
    started = [Started(max_length=length, tensor_parallel=tensor, cache_bytes=size) for size in (4.0, 2.0, 1.0)]
    needs = [request_bytes(facts, one) for one in started]
    # A recurrent state fills a page whatever the type of the cache, so pages of a hybrid only grow by rounding.
    assert all(later <= 1.05 * earlier for earlier, later in itertools.pairwise(needs))
    if not facts.recurrent:
        held = [capacity_tokens(facts, one, budget) for one in started]
        assert held == sorted(held)


@pytest.mark.parametrize("engine", ["llama.cpp", "ollama", "vllm", "transformers"])
@pytest.mark.parametrize("name", ["nobody/Gizmo-7B", "Gizmo", "x" * 300, "../../etc/passwd"])
def test_an_architecture_nobody_knows_is_said_to_be_unknown(engine: str, name: str) -> None:
    told = request(engine=engine, model=name, arch=None, tensor_types=None, size_printed=None, params_printed=None)
    reply = answer({**told, "gguf_file": None, "settings": {"ctx": 4096}})
    assert reply["unknown"]
    assert "memory_mib" not in reply
