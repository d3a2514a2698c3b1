"""vLLM's cache: bytes per token, windows, recurrent pages and what the log calls its size."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit.memory_vllm_cache import Started, cache_width, capacity_tokens, pool, request_bytes, specs
from envcheck.schema.model import LatentAttention, ModelFacts
from tests.fit.made import ALL, HYBRID, LATENT, PLAIN, WINDOWED

MIB = 2**20


def per_token(facts: ModelFacts, tensor_parallel: int = 1, cache_bytes: float = 2) -> float:
    started = Started(max_length=16384, tensor_parallel=tensor_parallel, cache_bytes=cache_bytes)
    return request_bytes(facts, started) / 16384


def test_bytes_per_token_of_plain_attention() -> None:
    assert per_token(PLAIN) == 32 * 8 * 2 * 128 * 2
    assert per_token(PLAIN, tensor_parallel=2) == 16 * 8 * 2 * 128 * 2
    assert per_token(PLAIN, cache_bytes=1) == 32 * 8 * 2 * 128


def test_heads_are_replicated_beyond_their_number() -> None:
    assert per_token(PLAIN, tensor_parallel=16) == per_token(PLAIN, tensor_parallel=8)


def test_latent_attention_is_not_divided() -> None:
    assert per_token(LATENT) == per_token(LATENT, tensor_parallel=8) == 27 * 576 * 2


def test_plain_capacity_is_whole_blocks() -> None:
    budget = 10 * MIB + 5
    tokens = capacity_tokens(PLAIN, Started(max_length=4096, version=(0, 10)), budget)
    assert tokens == 80  # 10 MiB / 128 KiB a token
    assert tokens % 16 == 0


def test_windows_count_only_once_they_are_kept_apart() -> None:
    budget = 80 * 1024 * MIB
    before, grouped, now = (
        capacity_tokens(WINDOWED, Started(max_length=262144, version=version, batched_tokens=2496), budget)
        for version in ((0, 8, 5), (0, 20), (0, 21))
    )
    assert before < now
    assert grouped < now


def test_a_hybrid_of_windows_reaches_what_a_start_up_printed() -> None:
    # Case vl-4198879d8e-01: 83.89 GiB, 262144 tokens of context, an image of 2496 tokens in flight.
    tokens = capacity_tokens(
        WINDOWED, Started(max_length=262144, version=(0, 25, 1), batched_tokens=2496), 85903.36 * MIB
    )
    assert tokens == pytest.approx(3875400, rel=1e-3)


@pytest.mark.parametrize(("width", "budget", "printed"), [(2, 82094.08, 1191213), (1, 78233.6, 2192477)])
def test_a_recurrent_hybrid_reaches_what_a_start_up_printed(width: float, budget: float, printed: int) -> None:
    # Cases vl-19689e9799-01 and vl-e74a3eecf3-01: three tokens drafted ahead, the second with an fp8 cache.
    started = Started(max_length=262144, version=(0, 25, 1), draft_tokens=3, cache_bytes=width)
    assert capacity_tokens(HYBRID, started, budget * MIB) == pytest.approx(printed, rel=1e-3)


def test_attention_blocks_grow_to_hold_a_recurrent_state() -> None:
    laid = pool(specs(HYBRID, Started(max_length=4096)), Started(max_length=4096))
    assert laid is not None
    assert laid.group_size == 16
    assert {tokens for _, tokens in laid.groups} == {0, 784}


@pytest.mark.parametrize(("kind", "width"), [("auto", 2), (None, 2), ("fp8", 1), ("fp8_e4m3", 1), ("something", 2)])
def test_cache_width(kind: str | None, width: float) -> None:
    assert cache_width(kind, 2) == width


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ALL), st.integers(1, 262144), st.integers(1, 262144), st.sampled_from((1, 2, 4)), st.booleans())
def test_longer_requests_never_need_less(facts: ModelFacts, a: int, b: int, tensor: int, draft: bool) -> None:
    short, long = (
        request_bytes(facts, Started(max_length=n, tensor_parallel=tensor, draft_tokens=3 * draft))
        for n in sorted((a, b))
    )
    assert short <= long


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ALL), st.floats(0, 1e12), st.floats(0, 1e12), st.sampled_from(((0, 8), (0, 10), (0, 25))))
def test_a_larger_budget_never_holds_fewer_tokens(
    facts: ModelFacts, a: float, b: float, version: tuple[int, ...]
) -> None:
    few, many = (capacity_tokens(facts, Started(max_length=8192, version=version), n) for n in sorted((a, b)))
    assert few <= many


SPARSE = msgspec.structs.replace(
    LATENT,
    latent=LatentAttention(
        heads=16, kv_rank=512, rope_dim=64, nope_dim=128, value_dim=128, index_heads=32, index_dim=128
    ),
    mtp_layers=1,
)


@pytest.mark.parametrize(
    ("width", "draft", "layers"),
    [(2, 0, 27 * (1152 + 132)), (1, 0, 27 * (656 + 132)), (1, 3, 28 * (656 + 132))],
)
def test_sparse_latent_attention_caches_its_index_too(width: float, draft: int, layers: int) -> None:
    # 656 bytes: 512 elements in fp8, four f32 scales, the rotary key in 16 bit
    started = Started(max_length=4096, version=(0, 20), cache_bytes=width, draft_tokens=draft)
    assert sum(spec.token_bytes for spec in specs(SPARSE, started)) == layers
