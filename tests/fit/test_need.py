"""What an intent needs: by hand where the arithmetic is short, by order where it is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit.need import need_of
from envcheck.schema.need import ModelNeed
from envcheck.schema.verdict import Intent


def need(model: str, *flags: str, backend: str = "vllm", quantization: str | None = None) -> ModelNeed:
    found = need_of(Intent(backend=backend, model=model, quantization=quantization, flags=flags))
    assert found is not None
    return found


def test_weights_are_two_bytes_a_parameter() -> None:
    assert need("Qwen/Qwen2.5-7B-Instruct").weights_mib == pytest.approx(7.616e9 * 2 / 2**20, rel=0.02)


def test_cache_of_one_request_is_what_its_layers_hold() -> None:
    # Llama 3.1 8B: 32 layers x 8 heads x 128 x keys and values x 2 bytes = 128 KiB a token.
    assert need("meta-llama/Llama-3.1-8B-Instruct", "--max-model-len=8192").request_mib == 8192 * 128 / 1024


@pytest.mark.parametrize(
    ("model", "flags", "scheme"),
    [
        ("deepseek-ai/DeepSeek-V3", (), "fp8-block"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", (), "awq"),
        ("openai/gpt-oss-20b", (), "mxfp4"),
        ("Qwen/Qwen2.5-7B-Instruct", ("--quantization=fp8",), "fp8"),
    ],
)
def test_format_is_the_published_one_unless_another_is_named(model: str, flags: tuple[str, ...], scheme: str) -> None:
    assert need(model, *flags).scheme == scheme


def test_ollama_tags_are_four_bits_unless_they_say_otherwise() -> None:
    assert need("llama3.1:8b", backend="ollama").scheme == "gguf:Q4_K_M"
    assert need("llama3.1:8b-instruct-q8_0", backend="ollama").scheme == "gguf:Q8_0"


def test_traits_of_the_architecture_are_told() -> None:
    assert need("deepseek-ai/DeepSeek-V3").latent
    assert need("Qwen/Qwen3-30B-A3B").experts
    assert need("Qwen/Qwen2.5-7B-Instruct").heads == 28


def test_nothing_is_guessed_for_an_unknown_model() -> None:
    assert need_of(Intent(backend="vllm", model="somebody/own-model")) is None
    assert need_of(Intent(backend="vllm")) is None


@settings(max_examples=40, deadline=None)
@given(st.sampled_from((1, 2, 4, 8)), st.integers(1, 131072))
def test_more_gpus_need_less_each_and_longer_requests_more(size: int, context: int) -> None:
    model = "meta-llama/Llama-3.1-70B-Instruct"
    one = need(model, f"--tensor-parallel-size={size}", f"--max-model-len={context}")
    more = need(model, f"--tensor-parallel-size={size * 2}", f"--max-model-len={context}")
    longer = need(model, f"--tensor-parallel-size={size}", f"--max-model-len={context + 16}")
    assert more.weights_mib < one.weights_mib
    assert (longer.request_mib or 0) > (one.request_mib or 0)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=4))
def test_any_intent_is_answered(model: str, flags: list[str]) -> None:
    assert need_of(Intent(backend="vllm", model=model, flags=tuple(flags))) is None or model.strip()
