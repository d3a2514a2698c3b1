"""A number format (BF16, FP8, FP4) that this GPU, or one of several mixed GPUs, does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import at_least, below, finding
from envcheck.judge.rules._models import is_bf16, is_fp8
from envcheck.judge.versions import dotted
from envcheck.schema.facts import TextFact
from envcheck.schema.verdict import Finding, Severity

CAUSE = "dtype_unsupported_on_gpu"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the format of the model against each GPU."""
    yield from spoken(case, CAUSE)
    low = [device for device in case.nvidia if device.capability and device.capability < (8, 0)]
    if low and case.backend in ("vllm", "sglang"):
        yield from _bf16(case, low[0].name, dotted(low[0].capability or ()), low[0].fact)
    yield from _fp8_cache(case)
    yield from _fp8(case)


def _fp8(case: Case) -> Iterator[Finding]:
    """An FP8 model below 8.9: some releases expand its weights, others refuse it."""
    low = [device for device in case.nvidia if device.capability and device.capability < (8, 9)]
    if not low or not is_fp8(case):
        return
    device = low[0]
    experts = bool(case.need and case.need.experts)
    old = case.backend == "vllm" and below(case.package("vllm"), _MARLIN_FP8)
    expanded = (device.capability or ()) >= (7, 5) and not experts
    emulated = case.backend == "vllm" and at_least(case.package("vllm"), _TRUSTED) and expanded
    refused = case.backend == "sglang" and (experts or below(case.package("sglang"), (0, 5)))
    severity: Severity = "blocker" if old or refused else "info" if emulated else "warning"
    yield finding(
        CAUSE,
        severity,
        f"The model is FP8; {device.name} ({dotted(device.capability or ())}) has no FP8 units"
        + (", weights are expanded by Marlin kernels." if emulated else "."),
        case.quote("GPU", device.fact),
        confidence="likely",
    )


def _fp8_cache(case: Case) -> Iterator[Finding]:
    """An FP8 KV cache (E4M3) below 8.9: the Triton kernels that read it know no such type there."""
    asked = [case.option("kv_cache_dtype") or ""]
    asked += [match.group(1) for _, match in case.paste.matching("kv_cache_dtype", _CACHE.pattern)]
    low = [device for device in case.nvidia if device.capability and device.capability < (8, 9)]
    if low and any(text.lower() in ("fp8", "fp8_e4m3") for text in asked):
        says = f"An FP8 KV cache needs compute capability 8.9 in most kernels; {low[0].name} has less."
        yield finding(CAUSE, "warning", says, case.quote("GPU", low[0].fact), confidence="likely")


_CACHE = re.compile(r"kv_cache_dtype'?\W{1,3}([a-z0-9_]{2,12})", re.IGNORECASE)
_TRUSTED = (0, 6)
"""Since when that holds for every dense FP8 checkpoint; mixtures of experts go through Triton kernels, which know no
E4M3 below 8.9: https://github.com/vllm-project/vllm/issues/6815 , https://github.com/vllm-project/vllm/issues/18182
In SGLang they know none in any release yet: https://github.com/sgl-project/sglang/issues/13471 , and 38291"""
_MARLIN_FP8 = (0, 5, 1)
"""The vLLM that first expands FP8 weights on Ampere: https://github.com/vllm-project/vllm/pull/5975"""


def _bf16(case: Case, name: str, capability: str, fact: TextFact) -> Iterator[Finding]:
    asked = (case.option("dtype") or "").lower()
    if asked in ("half", "float16", "fp16", "float", "float32"):
        return
    explicit = asked in ("bfloat16", "bf16")
    falls_back = at_least(case.package("vllm"), (0, 9)) or at_least(case.package("sglang"), (0, 2))
    if not explicit and (not is_bf16(case) or falls_back):
        return
    # A sentence that names a GPU tells no options: "--dtype half", with which such a GPU works, may be among them.
    reported = case.intent.flags or case.counted() or case.torch.release is not None
    told = (case.package("vllm") or case.package("sglang")) and reported
    yield finding(
        CAUSE,
        "blocker" if explicit or told else "warning",
        f"The model is BF16 and {name} ({capability}) has no BF16: it needs compute capability 8.0.",
        case.quote("GPU", fact),
        confidence="certain" if explicit else "likely",
    )


RULE = Rule(cause=CAUSE, link="model", judge=judge)
