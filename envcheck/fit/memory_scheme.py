"""Which quantization scheme a start-up loads, from the names people and engines give it."""

from __future__ import annotations

import re

from envcheck.fit.model_names import quantization_in

_BY_METHOD = {
    "awq": "awq", "awq_marlin": "awq", "fp8": "fp8", "fbgemm_fp8": "fp8", "bitsandbytes": "bnb-4bit", "mxfp4": "mxfp4",
    "modelopt_fp4": "nvfp4", "experts_int8": "experts_int8", "int8": "int8",
}  # fmt: skip
"""Methods that state the width themselves; others ("compressed-tensors", "gptq") leave it to the name."""
_PLAIN = {
    "bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16", "half": "fp16", "fp32": "fp32",
    "float32": "fp32",
}  # fmt: skip
_UNTAGGED = re.compile(r"v?0\.(?:0\.0|1)\.dev\d")
_GUESS = {"gptq": "gptq-int4", "gptq_marlin": "gptq-int4", "modelopt": "fp8", "compressed-tensors": "fp8"}


def scheme(model: str | None, method: str | None, dtype: str | None = None) -> str:
    """The scheme of a checkpoint: the engine's method where it states a width, else the name, else the dtype.

    GGUF files give "gguf:" and their type.
    """
    said = (method or "").lower()
    named = quantization_in(model or "")
    if said == "gguf" or (named and re.match(r"I?Q\d", named)):
        return f"gguf:{named or 'Q4_K_M'}"
    if said in _BY_METHOD:
        return _BY_METHOD[said]
    if said in _PLAIN:
        return _PLAIN[said]
    if named and named.lower() not in ("f16", "bf16", "f32"):
        return _known(named.lower())
    if said:
        return _GUESS.get(said) or quantization_in(said) or "bf16"
    if "gpt-oss" in (model or "").lower():
        return "mxfp4"
    return _PLAIN.get((dtype or "").removeprefix("torch.").lower(), "bf16")


def _known(named: str) -> str:
    return {"mxfp4_moe": "mxfp4"}.get(named, named)


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
    """Numbers of a release ("0.9.1.dev287+g89b", "transformers 4.41 (see page)"); empty when there are none.

    A build from a checkout without tags calls itself 0.1.dev1 whatever it holds, so it states no release.
    """
    found = None if _UNTAGGED.match(version or "") else re.search(r"(\d+(?:\.\d+)+)", version or "")
    return tuple(int(part) for part in found[1].split(".")) if found else ()
