"""What names say: weight formats, shapes of models, CPUs, engines."""

from __future__ import annotations

import pytest

from envcheck.fit import cpus
from envcheck.fit.models import find
from envcheck.fit.speed_formats import format_named
from envcheck.fit.speed_shape import shape_from_facts, shape_from_name, shape_of
from envcheck.fit.speed_tables import engine_class, tables
from envcheck.schema.model import ResolvedModel
from envcheck.schema.speed import ModelShape


@pytest.mark.parametrize(
    ("text", "bits", "kind"),
    [
        ("Q4_K_M", 4.9, "int4"),
        ("UD-Q4_K_XL", 4.9, "int4"),
        ("gguf-q6_k", 6.57, "int4"),
        ("Q8_0", 8.5, "int8"),
        ("IQ2_XXS", 2.4, "codebook"),
        ("IQ4_XS", 4.31, "int4"),
        ("Q1_0_g128", 1.125, "low_bit"),
        ("F16", 16.0, "f16"),
        ("bf16", 16.0, "f16"),
        ("float16", 16.0, "f16"),
        ("fp8-dynamic", 8.1, "int8"),
        ("AWQ 4-bit GEMM", 4.4, "int4"),
        ("GPTQ g128", 4.4, "int4"),
        ("EXL2 3.0 bpw", 3.1, "int4"),
        ("EXL2 2.3 bpw", 2.4, "low_bit"),
        ("MLX q5 g32", 5.5, "int4"),
        ("MXFP4", 4.63, "int4"),
        ("dolphin-llama3:8b-v2.9-q4_K_M", 4.9, "int4"),
    ],
)
def test_formats(text: str, bits: float, kind: str) -> None:
    found = format_named(text)
    assert found is not None
    assert found.bits == pytest.approx(bits)
    assert found.kind == kind


@pytest.mark.parametrize("text", ["", "Llama-3.1-8B", "fast", "q9_9"])
def test_no_format(text: str) -> None:
    assert format_named(text) is None


def shape(name: str, params_b: float | None = None) -> ModelShape:
    found = shape_of(name, params_b)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "params_b", "active_b", "layers"),
    [
        ("Llama-3.1-8B-Instruct", None, 7.5, 32),
        ("llama 8B", 8.03, 7.5, 32),
        ("qwen3moe 30B.A3B", 30.53, 3.0, 48),
        ("gpt-oss-120b", None, 5.1, 36),
        ("Some-New-70B-A7B", None, 7.0, None),
        ("mixtral 8x7B", None, 12.9, 32),
        ("gemma-4-e2b-it", None, 2.3, None),
    ],
)
def test_shapes(name: str, params_b: float | None, active_b: float, layers: int | None) -> None:
    found = shape(name, params_b)
    assert found.active_params / 1e9 == pytest.approx(active_b, rel=0.12)
    assert layers is None or found.layers == layers


def test_a_catalog_entry_of_another_size_is_not_taken() -> None:
    assert shape("Llama-3.1-8B", 13.0).params == pytest.approx(13e9)


def test_a_name_without_a_size_has_no_shape() -> None:
    assert shape_of("mystery model") is None


def test_old_attention_caches_more_and_windows_less() -> None:
    deep = 32768.0
    assert shape("Llama-2-7B").kv_bytes(deep) > 3 * shape("Llama-3.1-8B").kv_bytes(deep)
    assert shape("gemma-3-12b").kv_bytes(deep) < 0.5 * shape("Mistral-Nemo-12B").kv_bytes(deep)


@pytest.mark.parametrize("name", ["Llama-3.1-8B", "Qwen2.5-14B", "Gemma-3-27B", "Qwen3-30B-A3B", "Llama-2-13B"])
def test_what_a_name_alone_implies_is_near_the_facts(name: str) -> None:
    known = find(name)
    assert isinstance(known, ResolvedModel)
    facts, guessed = shape_from_facts(known.facts), shape_from_name(name)
    assert guessed is not None
    assert guessed.layers == pytest.approx(facts.layers, rel=0.35)
    assert guessed.kv_bytes(8192) == pytest.approx(facts.kv_bytes(8192), rel=0.6)


@pytest.mark.parametrize(
    ("name", "ram", "threads", "gbs", "cores"),
    [
        ("AMD Ryzen 9 7950X", "", None, 83.2, 16),
        ("AMD Ryzen 9 7950X", "DDR5-3600", None, 57.6, 16),
        ("AMD Ryzen 9 7950X 16-Core Processor", "", 2, 83.2, 2),
        ("13th Gen Intel(R) Core(TM) i9-13900K", "", None, 89.6, 8),
        ("12th Gen Intel(R) Core(TM) i5-12400", "", None, 76.8, 8),
        ("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", "", None, 42.656, 6),
        ("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", "", None, 76.8, 14),
        ("Raspberry Pi 5 - 8GB", "", None, 17.068, 4),
        ("Intel N100", "", None, 38.4, 4),
        ("Apple M2 Max", "", None, 204.8, 8),
    ],
)
def test_cpus(name: str, ram: str, threads: int | None, gbs: float, cores: int) -> None:
    found = cpus.find(name, ram, threads)
    assert found is not None
    assert found.bandwidth_gbs == pytest.approx(gbs)
    assert found.cores == cores


def test_an_unknown_cpu_is_unknown() -> None:
    assert cpus.find("Frobnicator 9000") is None


def test_every_cpu_row_is_plausible_and_sourced() -> None:
    for row in cpus.rows():
        assert 2 < row.channels * row.mega_transfers * 8 / 1e3 < 700, row.match
        assert row.source.startswith("https://"), row.match


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("llama.cpp", "llama"),
        ("llama.cpp (llama-cpp-python)", "llama"),
        ("Ollama", "ollama"),
        ("vLLM", "vllm"),
        ("exllamav3", "fused"),
        ("transformers (pytorch)", "eager"),
        ("something new", "eager"),
    ],
)
def test_engines(name: str, kind: str) -> None:
    assert engine_class(name) == kind


def test_the_bands_of_every_class_hold_their_value() -> None:
    for name, spread in tables().spreads.items():
        assert 0 < spread.low < 1 < spread.high, name
