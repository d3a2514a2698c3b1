"""Which quantization scheme a start-up loads, from the names people and engines give it."""

from __future__ import annotations

import re

_BY_NAME: tuple[tuple[str, str], ...] = (
    # The first pattern found in a checkpoint's name decides; more specific ones come first.
    (r"nvfp4", "nvfp4"),
    (r"mxfp4|gpt-?oss", "mxfp4"),
    (r"w8a8|int8[-_.]?dynamic|quantized\.w8a8", "int8"),
    (r"gptq[-_.]?(int)?8|gptq[-_.]8bit|w8a16", "gptq-int8"),
    (r"gptq", "gptq-int4"),
    (r"w4a16|awq|int4|4bit|4-bit|autoround", "awq"),
    (r"bnb|bitsandbytes", "bnb-nf4"),
    (r"fp8|f8_e4m3", "fp8"),
    (r"int8|8bit|8-bit", "int8"),
)
_GGUF = re.compile(r"\b(I?Q\d(?:_[A-Z0-9]+)*|F16|BF16|F32|MXFP4)\b", re.IGNORECASE)
_BY_METHOD = {
    "awq": "awq", "awq_marlin": "awq", "gptq": "gptq-int4", "gptq_marlin": "gptq-int4", "fp8": "fp8", "fbgemm_fp8": "fp8",
    "bitsandbytes": "bnb-nf4", "mxfp4": "mxfp4", "modelopt": "fp8", "modelopt_fp4": "nvfp4", "modelopt_mixed": "nvfp4",
    "experts_int8": "experts_int8", "int8": "int8",
}  # fmt: skip
_PLAIN = {"bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16", "half": "fp16", "fp32": "fp32"}


def scheme(model: str | None, method: str | None, dtype: str | None = None) -> str:
    """The scheme of a checkpoint: what its name says, refined by the engine's method ("awq_marlin"), else its dtype.

    A method that only says how weights are packed ("compressed-tensors", "gptq", "modelopt_mixed") leaves the width to
    the name.
    """
    name = (model or "").lower()
    said = (method or "").lower()
    if said == "gguf":
        found = _GGUF.search((model or "").replace("-", " ").replace(".", " "))
        return f"gguf:{found[1].upper()}" if found else "gguf:Q4_K_M"
    named = next((kind for pattern, kind in _BY_NAME if re.search(pattern, name)), None)
    if said in _BY_METHOD:
        direct = _BY_METHOD[said]
        vague = said.startswith("gptq") or said == "modelopt"
        return named if vague and named else direct
    if said in _PLAIN:
        return _PLAIN[said]
    if said:
        spoken = next((kind for pattern, kind in _BY_NAME if re.search(pattern, said)), None)
        return named or spoken or "bf16"
    return named or _dtype(dtype)


def _dtype(dtype: str | None) -> str:
    word = (dtype or "").removeprefix("torch.").lower()
    return _PLAIN.get(word, "bf16")


def transformers_scheme(quantization: str | None) -> str:
    """The scheme of a Transformers benchmark row ("GPTQ-Int8", "AWQ 4-bit GEMM", "BF16", "Int4")."""
    said = (quantization or "bf16").lower()
    if said in _PLAIN:
        return _PLAIN[said]
    if said.startswith("gptq") or said in ("int4", "int8"):
        # Qwen's first pages say "Int4" and "Int8" of GPTQ checkpoints.
        return "gptq-int8" if "8" in said else "gptq-int4"
    return scheme(said, None)


def release(version: str | None) -> tuple[int, ...]:
    """Numbers of a release ("0.9.1.dev287+g89b", "transformers 4.41 (see page)"); empty when there are none."""
    found = re.search(r"(\d+(?:\.\d+)+)", version or "")
    return tuple(int(part) for part in found[1].split(".")) if found else ()
