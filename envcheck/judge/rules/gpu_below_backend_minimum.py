"""The GPU is older than the floor of the backend; no official build would help."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import capability_floor
from envcheck.judge.versions import dotted
from envcheck.schema.verdict import Finding

CAUSE = "gpu_below_backend_minimum"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then each GPU against the floor of the backend's version."""
    yield from spoken(case, CAUSE)
    floor = capability_floor(case)
    if floor is None or not case.nvidia:
        return
    low = [device for device in case.nvidia if device.capability and device.capability < floor]
    if low:
        everyone = len(low) == len(case.nvidia)
        yield finding(
            CAUSE,
            "blocker" if everyone else "warning",
            f"{low[0].name} has compute capability {dotted(low[0].capability or ())}; {case.backend} needs at "
            f"least {dotted(floor)}.",
            *(case.quote("GPU", device.fact) for device in low[:3]),
            confidence="certain" if everyone else "likely",
        )


RULE = Rule(
    cause=CAUSE,
    link="device",
    judge=judge,
    explains=(
        "gpu_arch_not_in_build",
        "dtype_unsupported_on_gpu",
        "quant_unsupported_on_device",
        "attention_kernel_unsupported_on_gpu",
        "accelerator_wheel_mismatch",
        "shared_library_missing",
    ),
)
