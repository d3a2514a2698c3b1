"""From which release on a family is known: the table's own consistency, and how names and builds are looked up."""

from __future__ import annotations

import re

import pytest

from envcheck.judge import versions
from envcheck.judge.rules._arrivals import (
    arrivals,
    build_of_python_package,
    family_of,
    first_build,
    first_ollama,
    first_release,
)
from envcheck.schema.arrivals import Family


@pytest.mark.parametrize("row", [pytest.param(row, id=row.pattern) for row in arrivals().family])
def test_rows_can_be_read(row: Family) -> None:
    re.compile(row.pattern, re.IGNORECASE)
    stated = [text for text in (row.transformers, row.vllm, row.ollama) if text]
    assert stated or row.gguf
    assert all(versions.key(text) for text in stated)
    assert not row.gguf or row.gguf in arrivals().llama_cpp.builds


@pytest.mark.parametrize(
    ("name", "model_type"),
    [
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3_moe"),
        ("Qwen/Qwen3-8B-AWQ", "qwen3"),
        ("Qwen/Qwen3.5-27B", "qwen3_5"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl"),
        ("google/gemma-2b-it", "gemma"),
        ("google/gemma-2-9b-it", "gemma2"),
        ("google/gemma-3n-E4B-it", "gemma3n"),
        ("gpt-oss:20b", "gpt_oss"),
        ("CohereForAI/c4ai-command-r-v01", "cohere"),
        ("CohereForAI/c4ai-command-r7b-12-2024", "cohere2"),
        ("meta-llama/Llama-2-7b-hf", "llama"),
        ("mistralai/Mixtral-8x7B-v0.1", "mixtral"),
        ("microsoft/phi-2", "phi"),
        ("microsoft/Phi-3-mini-4k-instruct", "phi3"),
    ],
)
def test_names_find_their_family(name: str, model_type: str) -> None:
    row = family_of(name)
    assert row is not None
    assert row.model_type == model_type


@pytest.mark.parametrize("name", ["", "facebook/opt-125m", "codegemma-7b", "Qwen/Qwen3-Embedding-8B", "gpt2"])
def test_old_or_unlisted_names_say_nothing(name: str) -> None:
    assert first_release(name) == []


def test_builds_and_releases() -> None:
    assert first_build("qwen3moe") == first_build("Qwen3-30B-A3B") == 5092
    assert first_build("no-such-architecture") is None
    assert first_ollama("gemma4") == (0, 20, 0)
    assert build_of_python_package("0.3.8") == 4875
    assert build_of_python_package("0.2.9") == build_of_python_package("0.2.8")
    assert build_of_python_package("0.0.1") is None
    assert build_of_python_package("99.0") is None


def test_builds_inside_the_python_package_never_go_back() -> None:
    known = arrivals().llama_cpp_python.builds
    ordered = sorted(known, key=lambda name: versions.key(name) or ())
    assert [known[name] for name in ordered] == sorted(known.values())
