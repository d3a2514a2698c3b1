"""Finding a model by the names people use."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit.model_names import last_parts, quantization_in, size_in_billions, take_apart
from envcheck.fit.models import catalog_names, find
from envcheck.schema.model import Ambiguous, NotInCatalog, ResolvedModel

KNOWN = [
    # name, catalog entry, quantization, whether something is assumed
    ("Qwen/Qwen2.5-14B-Instruct", "Qwen2.5-14B", None, False),
    ("qwen2.5:14b-instruct-q4_K_M", "Qwen2.5-14B", "Q4_K_M", False),
    ("Qwen/Qwen2.5-14B-Instruct-GPTQ-Int8", "Qwen2.5-14B", "gptq-int8", False),
    ("Qwen/Qwen2.5-VL-3B-Instruct-AWQ", "Qwen2.5-VL-3B", "awq", False),
    ("NousResearch/Hermes-2-Pro-Llama-3-8B", "Llama-3-8B", None, False),
    ("NousResearch/Hermes-3-Llama-3.1-8B", "Llama-3.1-8B", None, False),
    ("somebody/Zephyrion-Llama-3.1-8B-AWQ", "Llama-3.1-8B", "awq", True),
    ("Meta-Llama-3.1-8B-Instruct.Q4_K_M.gguf", "Llama-3.1-8B", "Q4_K_M", False),
    (
        "/home/me/.cache/huggingface/hub/models--Qwen--Qwen3-30B-A3B/snapshots/0123456789abcdef",
        "Qwen3-30B-A3B",
        None,
        False,
    ),
    ("unsloth/Qwen3-14B-unsloth-bnb-4bit", "Qwen3-14B", "bnb-4bit", False),
    ("Llama 2 13B", "Llama-2-13B", None, False),
    ("TheBloke/Llama-2-13B-chat-AWQ", "Llama-2-13B", "awq", False),
    ("Mixtral-8x7B-Instruct-v0.1-AWQ", "Mixtral-8x7B", "awq", False),
    ("deepseek-r1:32b", "DeepSeek-R1-Distill-Qwen-32B", None, False),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "DeepSeek-R1-Distill-Qwen-1.5B", None, False),
    ("DeepSeek-R1-AWQ", "DeepSeek-R1", "awq", False),
    ("Qwen2___5-3B", "Qwen2.5-3B", None, False),
    ("Qwen/QwQ-32B-AWQ", "QwQ-32B", "awq", False),
    ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "Qwen3-Coder-30B-A3B", None, False),
    ("IlyaGusev/saiga_llama3_8b", "Llama-3-8B", None, True),
    ("somebody/Qwen3.8-27B-MTP-NVFP4", "Qwen3.8-27B", "nvfp4", True),
    ("x/gemma-3-27b-it-GPTQ-4b-128g", "Gemma-3-27B", "gptq-int4", False),
    ("google/gemma-2b-it", "Gemma-2B", None, False),
    ("google/gemma-2-2b-it", "Gemma-2-2B", None, False),
    ("Phi-3-mini-4k-instruct", "Phi-3-mini-3.8B", None, False),
    ("phi-4-mini-instruct", "Phi-4-mini-3.8B", None, False),
    ("glm-4.5v", "GLM-4.5V", None, False),
    ("mistral:latest", "Mistral-7B-v0.3", None, False),
    ("internlm2_5-7b-chat", "InternLM2-7B", None, False),
    ("bigscience/bloom-7b1", "BLOOM-7B1", None, False),
    ("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF", "Llama-3.1-70B", None, False),
    ("neuralmagic/Meta-Llama-3.1-70B-Instruct-quantized.w4a16", "Llama-3.1-70B", "w4a16", False),
    ("RedHatAI/Mistral-Small-3.1-24B-Instruct-2503-FP8-dynamic", "Mistral-Small-3.1-24B", "fp8", False),
    ("casperhansen/llama-3.3-70b-instruct-awq", "Llama-3.3-70B", "awq", False),
    ("unsloth/Qwen3-30B-A3B-GGUF:Q4_K_M", "Qwen3-30B-A3B", "Q4_K_M", False),
    ("nvidia/Qwen3-235B-A22B-FP4", "Qwen3-235B-A22B", "nvfp4", False),
    ("google/gemma-4-26B-A4B-it-qat-q4_0-unquantized", "Gemma-4-26B-A4B", None, False),
    ("HuggingFaceH4/zephyr-7b-beta", "Mistral-7B-v0.1", None, False),
    ("PrimeIntellect/INTELLECT-3", "GLM-4.5-Air", None, False),
    ("deepcogito/cogito-v1-preview-llama-70B", "Llama-3.3-70B", None, False),
    ("cerebras/Qwen3-Coder-REAP-25B-A3B", "Qwen3-Coder-REAP-25B-A3B", None, False),
    ("MiniMaxAI/MiniMax-M1-80k", "MiniMax-Text-01", None, False),
    ("qwen2.5_7b", "Qwen2.5-7B", None, False),
    ("ISTA-DASLab/Llama-2-7b-AQLM-2Bit-1x16-hf", "Llama-2-7B", "aqlm", True),
    ("Qwen/Qwen2.5-Math-PRM-7B", "Qwen2.5-7B", None, True),
    ("deepseek-ai/deepseek-vl2", "DeepSeek-VL2", None, False),
    ("llama31-8b", "Llama-3.1-8B", None, False),
    ("models--meta-llama--llama-3-1-70b-instruct", "Llama-3.1-70B", None, False),
    ("stabilityai/stablelm-2-1_6b", "StableLM-2-1.6B", None, False),
    ("Qwen3-30BA3B", "Qwen3-30B-A3B", None, False),
    ("mistral7b-awq", "Mistral-7B-v0.2", "awq", False),
    ("google/gemma-3n-e4b-it", "Gemma-3n-E4B", None, False),
    ("BAAI/bge-reranker-v2-gemma", "Gemma-2B", None, False),
    ("Alibaba-NLP/gte-multilingual-base", "GTE-multilingual-base", None, False),
    ("google/flan-t5-xl", "Flan-T5-XL", None, False),
    ("intfloat/e5-base-v2", "BGE-base-en-v1.5", None, False),
]


@pytest.mark.parametrize(("name", "entry", "quantization", "assumed"), KNOWN, ids=[row[0] for row in KNOWN])
def test_names_people_use(name: str, entry: str, quantization: str | None, assumed: bool) -> None:
    found = find(name)
    assert isinstance(found, ResolvedModel)
    assert (found.facts.name, found.quantization, bool(found.assumptions)) == (entry, quantization, assumed)


@pytest.mark.parametrize(
    "name",
    [
        "m40",
        "Tesla M40",
        "banana",
        "",
        "   ",
        "gguf",
        "Qwen2.5-VL-14B-x",
        "Llama-3.1-8B-Eagle3",
        "model",
        "3x",
        "7b 13b",
        "999b",
        "internlm/Intern-S1-Pro",  # a larger sibling, not Intern-S1
    ],
)
def test_unknown_is_said(name: str) -> None:
    found = find(name)
    assert isinstance(found, NotInCatalog)
    assert found.why


def test_a_family_without_a_size_is_several_models() -> None:
    found = find("Qwen2.5")
    assert isinstance(found, Ambiguous)
    assert {"Qwen2.5-7B", "Qwen2.5-14B"} <= set(found.candidates)


@pytest.mark.parametrize("size", ["0.5B", "3b", "7B", "8B", "13b", "14B", "30B", "32b", "70B"])
def test_a_size_names_its_reference_model(size: str) -> None:
    found = find(size)
    assert isinstance(found, ResolvedModel)
    assert found.origin == "size"
    assert found.facts.name in found.assumptions[0]


def test_last_parts_of_paths() -> None:
    assert last_parts("C:\\models\\Qwen2.5-7B\\") == "Qwen2.5-7B"
    assert last_parts("/data/models/Qwen2.5-7B/snapshots/9f8e7d6c5b4a3f2e1d0c") == "Qwen2.5-7B"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x-IQ4_XS", "IQ4_XS"), ("x.q8_0", "Q8_0"), ("x-GPTQ-Int4", "gptq-int4"), ("x-FP8-dynamic", "fp8"),
        ("x-W4A16-G128", "w4a16"), ("x-INT4", "int4"), ("x-AWQ-INT4", "awq"), ("x-w8a8", "int8"), ("x-NVFP4",
        "nvfp4"), ("x", None), ("x-bnb-4bit", "bnb-4bit"), ("aq4kmx", None),
    ],
)  # fmt: skip
def test_quantization_hints(name: str, expected: str | None) -> None:
    assert quantization_in(name) == expected


def test_sizes_in_billions() -> None:
    sizes = ("7b", "135m", "8x7b", "1.1b", "7b1", "a3b", "foo")
    assert [size_in_billions(size) for size in sizes] == [7, 0.135, 56, 1.1, 7.1, None, None]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_text_gets_an_answer(text: str) -> None:
    take_apart(text)
    assert isinstance(find(text), ResolvedModel | Ambiguous | NotInCatalog)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(catalog_names()), st.sampled_from(["-AWQ", "-GPTQ-Int4", "-FP8", "-Q4_K_M.gguf", "-bnb-4bit"]))
def test_a_quantization_suffix_keeps_the_model(name: str, suffix: str) -> None:
    found, plain = find(name + suffix), find(name)
    assert isinstance(found, ResolvedModel)
    assert isinstance(plain, ResolvedModel)
    assert found.facts.name == plain.facts.name
    assert found.quantization is not None
