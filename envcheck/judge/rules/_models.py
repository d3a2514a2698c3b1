"""What a model's name says about its formats and its attention."""

from __future__ import annotations

import re

from envcheck.judge.rule import Case

# Families published in bfloat16 on the Hugging Face hub (`torch_dtype` of their config.json); quantized
# checkpoints run in half and are left out by `is_bf16`.
_BF16 = re.compile(
    r"llama-?3|llama-?2|codellama|qwen[-_]?[123q]|qwq|mistral|mixtral|gemma|deepseek|phi-?[34]|yi-|internlm|baichuan2"
    r"|command-r"
    r"|glm-?4|falcon|olmo|granite|dbrx|starcoder2|smollm|exaone|nemotron|kimi|minicpm",
    re.IGNORECASE,
)
_QUANTIZED = re.compile(r"awq|gptq|int4|int8|w4a16|w8a8|gguf|bnb|-4bit|-8bit|fp8|exl2", re.IGNORECASE)
_FP8 = re.compile(r"(?:^|[-_/. ])fp8(?:$|[-_/. ])|fp8[-_]?(?:dynamic|static|kv)|float8|-fp8", re.IGNORECASE)
_MLA = re.compile(
    r"deepseek[-_]?(?:coder-)?v?(?:2|3|r1)(?!.*distill)|deepseek-(?:v2|v3|r1)(?!-distill)|kimi-k2|minicpm3|longcat",
    re.IGNORECASE,
)


def is_bf16(case: Case) -> bool:
    """True where the model is of a family published in BF16 and not a quantized copy."""
    return bool(_BF16.search(case.model)) and not _QUANTIZED.search(case.model) and not case.quantization


def is_fp8(case: Case) -> bool:
    """True where the model or the quantization asked for is FP8."""
    return (
        "fp8" in case.quantization
        or bool(_FP8.search(case.model))
        or "fp8" in (case.option("quantization") or "").lower()
    )


def has_mla(case: Case) -> bool:
    """True where the model uses multi-head latent attention, whose Triton kernels want much shared memory."""
    return bool(_MLA.search(case.model)) and "distill" not in case.model


def method(case: Case) -> str:
    """The quantization method by its short name, from the intent or the model's name; "" where none is stated."""
    for text in (case.quantization, (case.option("quantization") or "").lower(), case.model):
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
