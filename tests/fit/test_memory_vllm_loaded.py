"""What vLLM holds once a model is loaded: figures that start-ups printed, and what moves them."""

from __future__ import annotations

from typing import Any

import pytest

from envcheck.fit.checkpoints import wide_layers
from envcheck.fit.estimate import answer
from envcheck.fit.memory_checkpoint import checkpoint_per_gpu
from envcheck.fit.memory_scheme import release
from envcheck.fit.memory_vllm_cache import Started
from envcheck.fit.memory_vllm_loaded import loaded_bytes, multiplied_bytes, rotary_bytes
from envcheck.fit.models import find
from envcheck.schema.model import ModelFacts, ResolvedModel

GIB = 2**30


def facts(name: str) -> ModelFacts:
    found = find(name)
    assert isinstance(found, ResolvedModel)
    return found.facts


def request(model: str, version: str, given: dict[str, float] | None = None, **settings: Any) -> dict[str, Any]:
    return {
        "id": "case", "engine": "vllm", "model": model, "engine_version": version, "settings": settings,
        "given": given or {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "version", "settings", "printed"),
    [
        ("mistralai/Mistral-7B-Instruct-v0.3", "0.10.0", {}, 13.5084),
        ("unsloth/meta-llama-3.1-8b-instruct-bnb-4bit", "0.7.2", {"quantization": "bitsandbytes"}, 5.3541),
        ("TechxGenus/DeepSeek-Coder-V2-Lite-Instruct-AWQ", "0.7.3", {"quantization": "awq_marlin"}, 10.45),
        ("nvidia/NVIDIA-Nemotron-3-Nano-4B-FP8", "0.13.0", {"quantization": "modelopt"}, 4.9054),
        ("google/gemma-4-26B-A4B-it-qat-q4_0-unquantized", "0.20.0", {}, 48.5),
        ("Qwen/Qwen3-14B-AWQ", "0.11.0", {"quantization": "awq_marlin"}, 9.3619),
        ("mistralai/Mixtral-8x22B-Instruct-v0.1", "0.4.1", {"tensor_parallel": 8}, 32.7642),
        ("Qwen/Qwen3-Omni-30B-A3B-Instruct", "0.25.1", {"encoder_budget_tokens": 8192}, 59.19),
        ("zai-org/GLM-OCR", "0.18.0", {"encoder_budget_tokens": 8192}, 2.2),
        ("nvidia/Gemma-4-26B-A4B-NVFP4", "0.20.0", {"quantization": "modelopt"}, 17.89),
        ("RedHatAI/gemma-4-26B-A4B-it-NVFP4", "0.19.1", {"quantization": "compressed-tensors"}, 15.67),
        ("nvidia/Qwen3.6-35B-A3B-NVFP4", "0.22.1", {"quantization": "modelopt"}, 21.93),
        ("Meta-Llama-3.1-405B-Instruct-FP8", "0.5.3", {"quantization": "fbgemm_fp8", "tensor_parallel": 8}, 57.752),
    ],
)
def test_weights_that_start_ups_printed(model: str, version: str, settings: dict[str, Any], printed: float) -> None:
    memory = answer(request(model, version, **settings))["memory_mib"]
    assert memory["weights_gpu"] / 1024 == pytest.approx(printed, rel=0.05)


def test_what_makes_sound_of_an_answer_is_left_out() -> None:
    omni = facts("Qwen/Qwen2.5-Omni-7B")
    silent = loaded_bytes("Qwen/Qwen2.5-Omni-7B", omni, "bf16", Started(max_length=4096), None, False)
    talker = sum(part.parameters for part in omni.parts if part.speaks)
    assert silent is not None
    assert talker > 1e9
    assert checkpoint_per_gpu(omni, "bf16", 1, 1) == pytest.approx(silent - rotary_bytes(omni, ()) + 2 * talker)


def test_a_start_up_without_a_budget_for_images_is_text_only() -> None:
    # Case vl-e5e0b4ffe5-01: the log said "running in text-only mode".
    shown = request("Qwen3-VL-Embedding-2B", "0.11.0", {"kv_budget": 8407.0}, ctx=2048)
    with_images = {**shown, "settings": {"ctx": 2048, "encoder_budget_tokens": 16384}}
    alone = answer(shown)["memory_mib"]["weights_gpu"]
    assert alone == pytest.approx(3538.3, rel=0.01)
    assert answer(with_images)["memory_mib"]["weights_gpu"] > alone


def test_positions_on_three_axes_take_a_longer_table_since_they_do() -> None:
    model = facts("Qwen2.5-VL-3B")
    assert rotary_bytes(model, (0, 23)) == 4 * rotary_bytes(model, (0, 6, 5))
    assert rotary_bytes(facts("Qwen2.5-3B"), (0, 23)) == rotary_bytes(facts("Qwen2.5-3B"), (0, 6, 5))


def test_scaled_positions_take_as_much_longer_tables_and_windows_their_own() -> None:
    table = 131072 * 128 * 2
    assert rotary_bytes(facts("Gemma-3-27B"), (0, 10)) == 8 * table + table
    assert rotary_bytes(facts("Llama-3.1-8B"), (0, 10)) == table
    assert rotary_bytes(facts("Gemma-2-9B"), (0, 10)) == 8192 * 256 * 2


def test_latent_attention_is_multiplied_out_only_in_some_releases() -> None:
    model = facts("DeepSeek-V3")
    by_release = [multiplied_bytes(model, "fp8", Started(max_length=1, version=v)) for v in ((0, 6), (0, 7, 3), (0, 9))]
    assert by_release[0] == 0
    assert by_release[1] > 10 * by_release[2] > 0
    assert multiplied_bytes(facts("Qwen2.5-3B"), "bf16", Started(max_length=1, version=(0, 7, 3))) == 0


def test_fp8_hybrids_keep_attention_and_the_state_before_it_wide() -> None:
    model = facts("Nemotron-3-Nano-4B")
    wide = wide_layers(model, "fp8")
    attention = {layer.index for layer in model.layers() if layer.attention is not None}
    assert attention < wide
    assert len(wide) == 2 * len(attention)
    assert not wide_layers(model, "awq")
    assert not wide_layers(facts("Qwen2.5-3B"), "fp8")


def test_a_published_draft_model_is_loaded_and_caches() -> None:
    # Cases vl-d3ddac1f67-01 and vl-d2e01beb03-01: two context lengths of one model.
    for context, budget, printed in ((262144, 35901.44, 1001532), (65536, 36044.8, 950420)):
        told = {"quantization": "compressed-tensors", "ctx": context, "kv_type": "auto"}
        reply = answer(request("poolside/Laguna-S-2.1-INT4", "0.25.1", {"kv_budget": budget}, **told))
        assert reply["memory_mib"]["kv_tokens"] == pytest.approx(printed, rel=0.001)
        low, high = reply["interval_mib"]["weights_gpu"]
        assert low < reply["memory_mib"]["weights_gpu"] - 1500 < high


def test_a_size_nobody_knows_is_not_made_up() -> None:
    assert loaded_bytes("x", facts("Qwen2.5-3B"), "aqlm", Started(max_length=1), None, False) is None


@pytest.mark.parametrize("version", ["0.1.dev1+gda1daf40b", "v0.1.dev20051+g487ecf187", "0.0.0.dev1"])
def test_a_build_without_tags_states_no_release(version: str) -> None:
    assert release(version) == ()
