"""A number format (BF16, FP8, FP4) that this GPU, or one of several mixed GPUs, does not have."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import at_least, below, quotes
from envcheck.judge.rules._models import is_bf16, is_fp8
from envcheck.judge.version import dotted
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "dtype_unsupported_on_gpu"
REMEDY = Remedy(says="Run in a format the GPU has: --dtype half instead of bfloat16, a checkpoint without FP8.", commands=("vllm serve MODEL --dtype half",))
SIGNS = (
    Sign("bfloat16 is only supported on gpus", "BF16 needs compute capability 8.0."),
    Sign("bfloat16 is not supported", "BF16 is not supported here.", confidence="likely"),
    Sign("bf16 is not supported", "BF16 is not supported here.", confidence="likely"),
    Sign("your device doesn't support torch.bfloat16", "The GPU has no BF16; the backend falls back to FP16.", severity="warning"),
    Sign("bf16/gpu", "BF16 is not supported here.", r"your setup doesn't support bf16"),
    Sign("doesn't support bf16", "BF16 is not supported here.", confidence="likely"),
    Sign("fp8e4nv", "FP8 E4M3 needs compute capability 8.9.", r"not supported|unsupported|fp8e4nv"),
    Sign("fp8e4b8", "This FP8 format is not supported on the GPU.", r"not supported"),
    Sign("fp8e5", "This FP8 format is not supported on the GPU.", r"fp8e5.{0,20}not supported|type fp8\w+ not supported"),
    Sign("torch._scaled_mm is only supported", "FP8 matrix multiplication needs compute capability 8.9 or MI300."),
    Sign("fp8", "FP8 needs a newer GPU.", r"fp8.{0,60}(?:requires?|needs?|only|minimum|not).{0,40}(?:compute capability|sm_?8\.?9|sm_?90|ada|hopper|h100|mi300|supported on (?:this|your|the current) (?:gpu|device|platform|architecture))", confidence="likely", unless=("attention", "flashinfer", "marlin")),
    Sign("float8", "FP8 needs a newer GPU.", r"float8.{0,60}(?:not supported|requires?|only supported|not implemented)", confidence="likely"),
    Sign("feature 'cvt with .e4m3x2", "FP8 conversion needs compute capability 8.9.", confidence="likely"),
    Sign("feature '.bf16'", "The kernel uses BF16, which this GPU does not have.", r"requires .target sm_8|not supported on .target"),
    Sign(".bf16", "The kernel uses BF16, which this GPU does not have.", r"requires .target sm_80|not supported on .target 'sm_7"),
    Sign("\"addmm_impl_cpu_\" not implemented for 'half'", "FP16 is not implemented on the CPU.", confidence="likely"),
    Sign("not implemented for 'half'", "FP16 is not implemented on this device.", confidence="likely"),
    Sign("not implemented for 'bfloat16'", "BF16 is not implemented on this device.", confidence="likely"),
    Sign("cublas_status_not_supported", "The GPU does not support the number format of this multiplication.", r"bf16|16bf|cublasGemmEx", severity="warning", confidence="likely"),
    Sign("nvfp4", "FP4 needs a Blackwell GPU.", r"nvfp4.{0,60}(?:requires?|only|not supported|blackwell|sm_?100)", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the format of the model against each GPU."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    low = [device for device in case.nvidia if device.capability and device.capability < (8, 0)]
    if low and case.backend in ("vllm", "sglang"):
        yield from _bf16(case, low[0].name, dotted(low[0].capability or ()), low[0].fact)
    below_ada = [device for device in case.nvidia if device.capability and device.capability < (8, 9)]
    if below_ada and is_fp8(case):
        device = below_ada[0]
        emulated = case.backend == "vllm" and device.capability is not None and device.capability >= (7, 5)
        yield Finding(
            cause=CAUSE,
            severity="blocker" if case.backend == "sglang" and below(case.package("sglang"), (0, 5)) else "info" if emulated else "warning",
            says=f"The model is FP8; {device.name} ({dotted(device.capability or ())}) has no FP8 units" + (", weights are expanded by Marlin kernels." if emulated else "."),
            evidence=quotes(case.quote("GPU", device.fact)),
            remedy=REMEDY,
            confidence="likely",
        )


def _bf16(case: Case, name: str, capability: str, fact: object) -> Iterator[Finding]:
    asked = (case.option("dtype") or "").lower()
    if asked in ("half", "float16", "fp16", "float", "float32"):
        return
    explicit = asked in ("bfloat16", "bf16")
    falls_back = at_least(case.package("vllm"), (0, 9)) or at_least(case.package("sglang"), (0, 2))
    if not explicit and (not is_bf16(case) or falls_back):
        return
    yield Finding(
        cause=CAUSE,
        severity="blocker",
        says=f"The model is BF16 and {name} ({capability}) has no BF16: it needs compute capability 8.0.",
        evidence=quotes(case.quote("GPU", fact)),  # type: ignore[arg-type]
        remedy=REMEDY,
        confidence="certain" if explicit else "likely",
    )


RULE = Rule(cause=CAUSE, link="model", judge=judge)
