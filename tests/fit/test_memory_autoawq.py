"""AutoAWQ's own loader: caches laid out ahead, written-out attention, copies made while layers are fused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit.estimate import answer
from envcheck.fit.memory_autoawq import joined_bytes, peak_bytes, prompt_bytes
from envcheck.fit.memory_transformers import Generation
from envcheck.schema.model import Attention, Experts, ModelFacts
from tests.fit.made import PLAIN

EXPERTS = msgspec.structs.replace(PLAIN, experts=Experts(count=8, used=2, ffn=14336), feed_forward="e", ffn=0)
FUSED = msgspec.structs.replace(PLAIN, architecture="mpt", attention=Attention(heads=32, kv_heads=32, key_dim=128))


def _four_bit(elements: int) -> float:
    return elements * (4 + 20 / 128) / 8


@pytest.mark.parametrize(
    ("facts", "gpus", "elements"),
    [
        (PLAIN, 1, 32 * 4096 * (4096 + 2 * 1024)),  # queries, keys and values of every layer, once more
        (FUSED, 1, 0),  # published joined
        (EXPERTS, 1, 8 * 4096 * 14336 * (2 * 2 + 1)),  # a layer's gates and ups twice more, its downs once
        (EXPERTS, 2, 2 * 8 * 4096 * 14336 * (2 * 2 + 1)),
    ],
)
def test_copies_made_while_fusing(facts: ModelFacts, gpus: int, elements: int) -> None:
    assert joined_bytes(facts, gpus) == pytest.approx(_four_bit(elements), rel=1e-3)


def test_a_short_prompt_peaks_at_the_load_and_a_long_one_at_the_scores() -> None:
    short, long = (Generation(prompt=n, generated=n) for n in (64, 4096))
    cached = 131072
    assert peak_bytes(PLAIN, 4e9, short, 1) == 4e9 + 64 * cached + joined_bytes(PLAIN, 1)
    assert peak_bytes(PLAIN, 4e9, long, 1) == 4e9 + 4096 * cached + prompt_bytes(PLAIN, long)
    assert prompt_bytes(PLAIN, long) == pytest.approx(5 * 32 * 4096**2 * 2, rel=0.06)


def test_the_cache_is_of_what_will_be_generated() -> None:
    few, many = (peak_bytes(PLAIN, 4e9, Generation(prompt=512, generated=n, batch=4), 1) for n in (128, 640))
    assert many - few == 4 * 512 * 131072


@settings(max_examples=60, deadline=None)
@given(st.sampled_from((PLAIN, FUSED, EXPERTS)), st.integers(1, 8192), st.integers(1, 8192), st.integers(1, 8))
def test_a_longer_prompt_never_needs_less(facts: ModelFacts, a: int, b: int, batch: int) -> None:
    short, long = (peak_bytes(facts, 1e9, Generation(prompt=n, generated=64, batch=batch), 1) for n in sorted((a, b)))
    assert short <= long


def test_the_loader_is_known_by_the_engine_version() -> None:
    row = {
        "engine": "transformers", "engine_version": "AutoAWQ 0.1.6", "model": "Llama 2 13B", "quant": None,
        "settings": {"input_tokens": 64, "generated_tokens": 64, "batch": 1, "quantization": "AWQ 4-bit GEMM"},
    }  # fmt: skip
    fused = answer({"id": "x", **row})["memory_mib"]["torch_max_allocated"]
    plain = answer({"id": "x", **row, "engine_version": "transformers 4.46.0"})["memory_mib"]["torch_max_allocated"]
    assert fused > plain + 1000
