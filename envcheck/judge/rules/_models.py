"""What a model's name says about its formats and its attention."""

from __future__ import annotations

import re

from envcheck.judge.rule import Case

_QUANTIZED = re.compile(r"awq|gptq|int4|int8|w4a16|w8a8|gguf|bnb|-4bit|-8bit|fp8|exl2", re.IGNORECASE)
_FP8 = re.compile(r"(?:^|[-_/. ])fp8(?:$|[-_/. ])|fp8[-_]?(?:dynamic|static|kv)|float8|-fp8", re.IGNORECASE)


def is_bf16(case: Case) -> bool:
    """True where the catalog's entry for the model is published in BF16, and a quantized copy is not meant."""
    published = case.need is not None and case.need.precision == "bfloat16"
    return published and not _QUANTIZED.search(case.model) and not case.quantization


def is_fp8(case: Case) -> bool:
    """True where the model or the quantization asked for is FP8, or the publisher's own format is."""
    published = case.need is not None and case.need.precision == "float8" and case.need.scheme.startswith("fp8")
    return (
        published
        or "fp8" in case.quantization
        or bool(_FP8.search(case.model))
        or "fp8" in (case.option("quantization") or "").lower()
    )


def has_mla(case: Case) -> bool:
    """True where the model uses multi-head latent attention, whose Triton kernels want much shared memory."""
    return case.need is not None and case.need.latent


def method(case: Case) -> str:
    """The quantization method by its short name, from the intent or the model's name; "" where none is stated."""
    asked = (case.quantization, (case.option("quantization") or "").lower())
    if any(text.replace("_", "-").startswith("compressed-tensors") for text in asked):
        return _compressed(case.model)
    for text in (*asked, case.model):
        for name in (
            "awq_marlin",
            "gptq_marlin",
            "awq",
            "gptq",
            "fp8",
            "bitsandbytes",
            "mxfp4",
            "nvfp4",
            "gguf",
            "marlin",
            "hqq",
            "torchao",
            "exl2",
            "squeezellm",
        ):
            if name in text:
                return name
        if "bnb" in text:
            return "bitsandbytes"
        if "w8a8" in text or "int8" in text:
            return "int8"
        if "int4" in text or "w4a16" in text:
            return "gptq"
    return ""


def _compressed(model: str) -> str:
    """The scheme that a checkpoint in the compressed-tensors format uses, as far as its name tells."""
    if _EIGHT_BITS.search(model):
        return "fp8" if _FP8.search(model) else "int8"
    return "compressed_tensors_w4a16" if _FOUR_BITS.search(model) else "compressed_tensors"


_EIGHT_BITS = re.compile(r"w8a8|int8|fp8", re.IGNORECASE)
_FOUR_BITS = re.compile(r"w4a16|awq|gptq|int4|4-?bit", re.IGNORECASE)
