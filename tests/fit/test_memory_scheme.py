"""Names of quantized checkpoints to schemes."""

from __future__ import annotations

import pytest

from envcheck.fit.memory_scheme import release, scheme, transformers_scheme


@pytest.mark.parametrize(
    ("model", "method", "expected"),
    [
        ("acme/Model-7B", None, "bf16"),
        ("acme/Model-7B", "fp8", "fp8"),
        ("acme/Model-7B-AWQ", "awq_marlin", "awq"),
        ("acme/Model-7B-GPTQ-Int8", "gptq_marlin", "gptq-int8"),
        ("acme/Model-7B-GPTQ-Int4", "gptq", "gptq-int4"),
        ("acme/Model-7B-W4A16-G128", "compressed-tensors", "w4a16"),
        ("acme/Model-7B-FP8-dynamic", "compressed-tensors", "fp8"),
        ("acme/Model-7B-NVFP4", "compressed-tensors", "nvfp4"),
        ("acme/Model-7B-NVFP4", "modelopt_mixed", "nvfp4"),
        ("acme/Model-7B-FP8", "modelopt", "fp8"),
        ("acme/Model-7B", "bitsandbytes", "bnb-4bit"),
        ("Model-32B-Q4_K_M.gguf", "gguf", "gguf:Q4_K_M"),
        ("Model-7B-Instruct-quantized.w8a8", "compressed-tensors", "int8"),
        ("openai/gpt-oss-20b", "mxfp4", "mxfp4"),
        ("acme/Jamba", "experts_int8", "experts_int8"),
    ],
)
def test_schemes(model: str, method: str | None, expected: str) -> None:
    assert scheme(model, method) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("BF16", "bf16"), ("GPTQ-Int8", "gptq-int8"), ("GPTQ-Int4", "gptq-int4"), ("AWQ", "awq"), ("AWQ-INT4", "awq"),
     ("FP8", "fp8"), ("Int8", "gptq-int8"), ("AWQ 4-bit GEMM", "awq"), (None, "bf16")],
)  # fmt: skip
def test_schemes_of_benchmark_pages(said: str | None, expected: str) -> None:
    assert transformers_scheme(said) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.9.1.dev287+g89b1388d8", (0, 9, 1)), ("transformers 4.41 (see page)", (4, 41)), ("unknown", ()), (None, ())],
)
def test_releases(text: str | None, expected: tuple[int, ...]) -> None:
    assert release(text) == expected
