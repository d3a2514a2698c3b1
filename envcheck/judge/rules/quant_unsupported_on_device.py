"""A quantization method that has no kernels for this type of device."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._models import method
from envcheck.judge.versions import Version, dotted
from envcheck.schema.verdict import Finding

CAUSE = "quant_unsupported_on_device"
# https://github.com/vllm-project/vllm/blob/main/docs/features/quantization/README.md
_FLOOR: dict[str, Version] = {
    "awq": (7, 5),
    "int8": (7, 5),
    "awq_marlin": (7, 5),
    "gptq_marlin": (7, 5),
    "marlin": (7, 5),
    "fp8": (7, 5),
    "hqq": (8, 0),
    "torchao": (7, 5),
    "mxfp4": (8, 0),
    "nvfp4": (7, 5),
}
_CPU_WITHOUT = frozenset(
    {"fp8", "bitsandbytes", "marlin", "awq_marlin", "gptq_marlin", "mxfp4", "nvfp4", "hqq", "squeezellm"}
)


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the method against the device that will be used."""
    yield from spoken(case, CAUSE)
    wanted = method(case)
    if not wanted or case.backend not in ("vllm", "sglang", "transformers"):
        return
    if case.torch.accelerator == "cpu" and wanted in _CPU_WITHOUT and case.backend != "transformers":
        yield finding(
            CAUSE,
            "blocker",
            f"{wanted} has no CPU kernels and torch is a CPU build.",
            case.quote("torch", case.torch.fact),
            confidence="likely",
        )
    floor = _FLOOR.get(wanted)
    low = [d for d in case.nvidia if floor and d.capability and d.capability < floor]
    if low and floor and case.backend != "transformers":
        yield finding(
            CAUSE,
            "blocker",
            f"{wanted} needs compute capability {dotted(floor)}; {low[0].name} has {dotted(low[0].capability or ())}.",
            case.quote("GPU", low[0].fact),
            confidence="likely",
        )
    if (
        case.amd
        and case.torch.accelerator in ("rocm", "")
        and wanted in ("bitsandbytes", "awq", "marlin", "awq_marlin", "gptq_marlin", "nvfp4")
    ):
        yield finding(
            CAUSE,
            "warning",
            f"{wanted} kernels are written for CUDA; many ROCm builds lack them.",
            case.quote("GPU", case.amd[0].fact),
            confidence="possible",
        )


RULE = Rule(cause=CAUSE, link="model", judge=judge)
