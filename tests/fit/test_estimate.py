"""Batch answers: what a request may look like, and models that a log names without describing them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit import memory_hparams
from envcheck.fit.estimate import answer
from envcheck.fit.estimate_llama import file_type
from envcheck.fit.memory_llama_cache import cache_bytes
from envcheck.fit.memory_llama_settings import LlamaSettings
from tests.fit.test_memory_llama import HEADER, request

MIB = 2**20


@pytest.mark.parametrize(
    "changes",
    [
        {"arch": []},
        {"arch": {"n_layer": "many"}},
        {"settings": {"ctx": "long"}},
        {"tensor_types": {"q4_K": "all"}},
        {"given": {"devices_used": "two"}},
        {"gpu": "none"},
        {"model": 7},
    ],
)
def test_a_request_of_another_form_is_answered_with_the_reason(changes: dict[str, Any]) -> None:
    reply = answer(request(**changes))
    assert reply["id"] == "case"
    assert "does not fit" in reply["unknown"]


def test_unknown_keys_are_ignored() -> None:
    assert "memory_mib" in answer({**request(), "colour": "blue", "settings": {"ctx": 4096, "mood": 3}})


values = st.one_of(st.none(), st.integers(-10, 10**6), st.text(max_size=8), st.booleans())


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(("llama.cpp", "ollama", "vllm", "transformers")), st.dictionaries(
    st.sampled_from(("ctx", "ubatch", "n_seq", "kv_type_k", "gpu_layers", "flash_attn", "tensor_parallel", "dtype")),
    values, max_size=6,
))  # fmt: skip
def test_no_settings_make_it_fall_over(engine: str, chosen: dict[str, Any]) -> None:
    reply = answer(request(engine=engine, model="Qwen2.5-7B-Instruct", settings=chosen))
    assert ("unknown" in reply) != ("memory_mib" in reply)


def test_a_named_model_needs_no_header() -> None:
    named = request(
        engine="ollama", engine_version="0.9.0", model="qwen2.5:14b", arch=None, quant="Q4_K - Medium",
        size_printed=None, tensor_types=None, settings={"ctx": 4096},
    )  # fmt: skip
    reply = answer(named)
    assert reply["memory_mib"]["weights_gpu"] == pytest.approx(8148.38, abs=0.01)
    assert reply["memory_mib"]["kv_gpu"] == 768.0


@pytest.mark.parametrize(
    ("printed", "name"),
    [("Q4_K - Medium", "Q4_K_M"), ("Q3_K - Small", "Q3_K_S"), ("Q2_K - Medium", "Q2_K"), ("Q8_0", "Q8_0"),
     ("IQ4_XS - 4.25 bpw", "IQ4_XS"), ("MXFP4", "MXFP4_MOE"), ("F16 (guessed)", "F16"), (None, None)],
)  # fmt: skip
def test_file_types(printed: str | None, name: str | None) -> None:
    assert file_type(printed) == name


def test_layers_that_share_a_cache_or_only_draft_have_none() -> None:
    shared = memory_hparams.from_header({**HEADER, "arch": "gemma4", "n_layer": 42})
    drafting = memory_hparams.from_header({**HEADER, "arch": "glm4moe", "n_layer": 47})
    assert shared is not None
    assert drafting is not None
    assert sum(size > 0 for size in cache_bytes(shared, LlamaSettings(context=4096))) == 24
    assert sum(size > 0 for size in cache_bytes(drafting, LlamaSettings(context=4096))) == 46


@pytest.mark.parametrize(
    ("model", "settings_", "weights"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct-AWQ", {"quantization": "awq_marlin"}, 441.86),
        ("meta-llama/Meta-Llama-3-8B-Instruct", {"dtype": "torch.bfloat16"}, 15318.63),
        ("starcoder2-15b", {"tensor_parallel": 2, "dtype": "torch.float16"}, 15224.01),
    ],
)
def test_vllm_weights_of_named_checkpoints(model: str, settings_: dict[str, Any], weights: float) -> None:
    # Cases vl-fa1a8ea7b2-01, vl-bde5e86114-01, vl-4e77a22c8f-01: "Model loading took …".
    reply = answer({"id": "case", "engine": "vllm", "engine_version": "0.8.3", "model": model, "settings": settings_})
    assert reply["memory_mib"]["weights_gpu"] == pytest.approx(weights, rel=0.01)


def test_drafting_that_a_log_does_not_mention_widens_the_interval() -> None:
    asked = {
        "id": "case", "engine": "vllm", "engine_version": "0.25.1", "model": "Qwen3.6-35B-A3B",
        "settings": {"ctx": 262144}, "given": {"kv_budget": 76001.28},
    }  # fmt: skip
    low, high = answer(asked)["interval_mib"]["kv_tokens"]
    older = answer({**asked, "engine_version": "0.18.0"})["interval_mib"]["kv_tokens"]
    assert high / low > older[1] / older[0]


def test_a_transformers_run_needs_a_model_of_the_catalog() -> None:
    asked = {"id": "case", "engine": "transformers", "model": "nosuchmodel-9", "settings": {}}
    assert "not a model of the catalog" in answer(asked)["unknown"]
    assert "names no model" in answer({**asked, "model": None})["unknown"]
