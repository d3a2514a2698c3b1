"""Memory of llama.cpp: the terms of a few synthetic headers against sums done by hand, and laws that always hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit import memory_gguf_weights, memory_hparams, memory_llama
from envcheck.fit.estimate import answer
from envcheck.fit.memory_llama_cache import cache_bytes, state_bytes
from envcheck.fit.memory_llama_settings import LlamaSettings, build_number, from_log
from envcheck.fit.memory_types import MIB, element_bytes

HEADER: dict[str, Any] = {
    "arch": "llama", "n_layer": 32, "n_embd": 4096, "n_head": 32, "n_head_kv": 8, "n_embd_head_k": 128,
    "n_embd_head_v": 128, "n_embd_k_gqa": 1024, "n_embd_v_gqa": 1024, "n_ff": 14336, "n_vocab": 128256,
}  # fmt: skip
TYPES = {"f32": 65, "q4_K": 193, "q6_K": 33}


def request(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": "case", "engine": "llama.cpp", "engine_fork": None, "engine_version": "3731 (0996c559)", "gpu": [],
        "arch": HEADER, "quant": "Q4_K - Medium", "tensor_types": TYPES, "size_printed": "4.58 GiB (4.89 BPW)",
        "params_printed": "8.03 B", "settings": {"ctx": 8192, "batch": 2048, "ubatch": 512, "flash_attn": 0},
        "given": {"devices_used": 1},
    }  # fmt: skip
    return {**base, **changes}


def terms(**changes: Any) -> dict[str, float]:
    found: dict[str, float] = answer(request(**changes))["memory_mib"]
    return found


def test_terms_of_an_8b_model_on_one_gpu() -> None:
    found = terms()
    assert found["weights_gpu"] == pytest.approx(4403.5, abs=6)  # 4.58 GiB less a Q4_K embedding of 281.8 MiB
    assert found["kv_gpu"] == 1024.0
    assert found["compute_gpu"] == 560.0
    assert found["recurrent_state"] == 0.0


def test_logits_decide_where_the_context_is_short() -> None:
    assert terms(settings={"ctx": 512, "ubatch": 512})["compute_gpu"] == pytest.approx(4 * 512 * (128256 + 4096) / MIB)


def test_flash_attention_keeps_the_buffer_small_at_long_context() -> None:
    long = {"ctx": 131072, "ubatch": 512}
    assert terms(settings={**long, "flash_attn": 1})["compute_gpu"] < 600
    assert terms(settings={**long, "flash_attn": 0})["compute_gpu"] > 8000


@pytest.mark.parametrize(
    ("version", "asked", "layers_with_cache"),
    [("3731 (0996c559)", 22, 22), ("8133 (2b6dfe824)", 22, 21), ("3731 (0996c559)", 0, 0), ("8133 (2b6dfe824)", 0, 0)],
)
def test_which_layers_a_partial_offload_takes(version: str, asked: int, layers_with_cache: int) -> None:
    found = terms(engine_version=version, settings={"ctx": 8192, "gpu_layers": asked, "n_ctx_seq": 8192})
    assert found["kv_gpu"] == 32.0 * layers_with_cache


def test_windowed_layers_keep_only_their_window() -> None:
    header = {**HEADER, "arch": "gpt-oss", "n_layer": 24, "n_embd_k_gqa": 512, "n_embd_v_gqa": 512, "n_swa": 128}
    hparams = memory_hparams.from_header(header)
    assert hparams is not None
    cells = cache_bytes(hparams, LlamaSettings(context=65536))
    assert sum(cells) / MIB == 1536 + 18
    assert sum(cache_bytes(hparams, LlamaSettings(context=65536, full_window_cache=True))) / MIB == 3072


def test_recurrent_layers_keep_a_state_for_each_sequence() -> None:
    header = {
        **HEADER, "arch": "qwen35moe", "n_layer": 40, "n_embd": 2048, "n_embd_k_gqa": 512, "n_embd_v_gqa": 512,
        "ssm_d_conv": 4, "ssm_d_inner": 4096, "ssm_d_state": 128,
    }  # fmt: skip
    hparams = memory_hparams.from_header(header)
    assert hparams is not None
    started = LlamaSettings(context=32768, sequences=4)
    assert sum(cache_bytes(hparams, started)) / MIB == 640
    assert sum(state_bytes(hparams, started)) / MIB == 251.25


def test_per_layer_lists_are_summed() -> None:
    header = {**HEADER, "n_layer": 4, "n_head_kv": "[8, 0, 8, 8]", "n_embd_k_gqa": "[1024, 0, 1024, 1024]"}
    hparams = memory_hparams.from_header({**header, "n_embd_v_gqa": "[1024, 0, 1024, 1024]"})
    assert hparams is not None
    assert sum(cache_bytes(hparams, LlamaSettings(context=1024))) / MIB == 12


def test_latent_cache_of_the_fork() -> None:
    header = {
        **HEADER, "arch": "deepseek2", "n_layer": 61, "n_head": 128, "n_embd_k_gqa": 24576, "n_embd_v_gqa": 16384,
        "n_lora_kv": 512, "n_rot": 64,
    }  # fmt: skip
    hparams = memory_hparams.from_header(header)
    assert hparams is not None
    started = LlamaSettings(context=2048, fork="ik_llama.cpp", mla=2, flash_attention=True)
    assert sum(cache_bytes(hparams, started)) / MIB == 137.25
    assert sum(cache_bytes(hparams, LlamaSettings(context=2048))) / MIB == 61 * 2048 * 40960 * 2 / MIB


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arch": {"arch": None}}, "layer count"),
        ({"size_printed": None}, "file size"),
        ({"settings": {"ctx": 512, "kv_type_k": "q3_9"}}, "q3_9"),
        ({"engine": "abacus"}, "abacus"),
    ],
)
def test_what_it_does_not_know_it_says(changes: dict[str, Any], reason: str) -> None:
    assert reason in answer(request(**changes))["unknown"]


def test_printed_sizes_are_narrowed_by_bits_per_weight() -> None:
    assert memory_gguf_weights.printed_bytes("1.00 GiB", None) == 2**30
    narrowed = memory_gguf_weights.printed_bytes("0.10 GiB (4.5000 BPW)", "200.00 M")
    assert narrowed == pytest.approx(200e6 * 4.5 / 8, rel=1e-3)
    assert memory_gguf_weights.printed_bytes("about a lot", "8 B") is None


@pytest.mark.parametrize(
    ("name", "size"), [("q4_K", 4.5 / 8), ("Q8_0", 34 / 32), ("q8_0_r8", 34 / 32), ("iq6_k", 6.625 / 8), ("q9", None)]
)
def test_element_bytes(name: str, size: float | None) -> None:
    assert element_bytes(name) == size


@pytest.mark.parametrize(
    ("version", "number"),
    [("8133 (2b6dfe824)", 8133), ("b4426", 4426), ("0", None), ("0.13.5", None), (None, None), ("master", None)],
)
def test_build_numbers(version: str | None, number: int | None) -> None:
    assert build_number(version) == number


def test_a_cache_for_each_sequence_is_as_large_as_one_for_all() -> None:
    split = from_log({"ctx": 49920, "n_seq": 5, "kv_unified": "false"}, "llama.cpp", None, "8200 (541bf3762)", 1)
    assert (split.streams, split.context_per_stream) == (5, 9984)


@pytest.mark.parametrize(
    ("version", "flash", "mib"),
    [
        ("9409 (0000000)", "enabled", 512 * (6 * 131072 + 16 * 4096) / MIB),
        ("9410 (0000000)", "enabled", 4 * 512 * (128256 + 4096) / MIB),
        ("9460 (0000000)", "enabled", 512 * (2 * 131072 + 4 * (3 * 14336 + 2 * 4096)) / MIB),
        ("9460 (0000000)", "disabled", 4 * 512 * (33 * 131072 + 4 * 4096) / MIB),
    ],
)
def test_masks_and_logits_shrank_in_2026(version: str, flash: str, mib: float) -> None:
    long = {"ctx": 131072, "n_ctx_seq": 131072, "n_seq": 1}
    found = terms(engine_version=version, settings={**long, "flash_attn": flash})
    assert found["compute_gpu"] == pytest.approx(mib)


@pytest.mark.parametrize(
    ("said", "limited"),
    [
        ({"flash_attn": "auto", "n_ctx_seq": 8192}, True),
        ({"flash_attn": "auto", "flash_attn_effective": True, "n_ctx_seq": 8192}, False),
        ({"flash_attn": "enabled", "n_ctx_seq": 8192}, False),
        ({"flash_attn": "auto"}, False),
    ],
)
def test_a_log_that_leaves_auto_open_is_of_a_recent_build(said: dict[str, Any], limited: bool) -> None:
    """As in lc-4a56c92d70-01: Ollama 0.32 prints no build, and says in new words what became of flash attention."""
    found = from_log({"ctx": 8192, "n_seq": 1, **said}, "llama.cpp", None, None, 1)
    assert (found.limited_outputs, found.half_mask, found.build_known) == (limited, limited, limited)
    assert from_log({"ctx": 8192, **said}, "llama.cpp", None, "8133 (2b6dfe824)", 1).limited_outputs is False


def test_host_layers_take_one_and_a_half_caches_beside_a_half_mask() -> None:
    settings = {"ctx": 131072, "n_ctx_seq": 131072, "n_seq": 1, "flash_attn": "enabled", "gpu_layers": 2}
    found = terms(engine_version="9924 (90e0f5cfc)", settings=settings)
    assert found["compute_gpu"] == 128 + 3 * 256 + 512 * 16 * 4096 / MIB


HPARAMS = memory_hparams.from_header(HEADER)
assert HPARAMS is not None
WEIGHTS = memory_gguf_weights.split(HPARAMS, "Q4_K - Medium", TYPES, "4.58 GiB (4.89 BPW)", "8.03 B")
assert WEIGHTS is not None
KINDS = ("f32", "f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
contexts = st.integers(min_value=256, max_value=262144)


@settings(max_examples=60, deadline=None)
@given(contexts, contexts, st.booleans(), st.integers(1, 8), st.integers(0, 33))
def test_longer_context_never_needs_less(a: int, b: int, flash: bool, devices: int, layers: int) -> None:
    assert HPARAMS is not None
    assert WEIGHTS is not None
    short, long = (
        memory_llama.memory(
            HPARAMS, WEIGHTS, LlamaSettings(context=c, flash_attention=flash, devices=devices, gpu_layers=layers)
        )
        for c in sorted((a, b))
    )
    assert short.total <= long.total


@settings(max_examples=40, deadline=None)
@given(contexts, st.sampled_from(KINDS), st.sampled_from(KINDS))
def test_a_smaller_cache_type_never_needs_more(context: int, first: str, second: str) -> None:
    assert HPARAMS is not None
    small, large = sorted((first, second), key=lambda kind: element_bytes(kind) or 0)
    totals = [
        sum(cache_bytes(HPARAMS, LlamaSettings(context=context, type_k=kind, type_v=kind))) for kind in (small, large)
    ]
    assert totals[0] <= totals[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 33), st.integers(0, 33))
def test_more_layers_on_the_gpu_take_weights_off_the_host(a: int, b: int) -> None:
    assert HPARAMS is not None
    assert WEIGHTS is not None
    few, many = (
        memory_llama.memory(HPARAMS, WEIGHTS, LlamaSettings(context=4096, gpu_layers=n)) for n in sorted((a, b))
    )
    assert few.weights <= many.weights
    assert few.host_weights >= many.host_weights
    assert few.cache + few.host_cache == pytest.approx(many.cache + many.host_cache)
