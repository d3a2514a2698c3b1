"""The device reports a physical fault."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Finding

CAUSE = "gpu_hardware_fault"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then error counters of the devices."""
    yield from spoken(case, CAUSE)
    gpus = case.snapshot.nvidia.gpus
    for gpu in gpus.value if isinstance(gpus, Known) else ():
        if isinstance(gpu.ecc_uncorrected, Known) and gpu.ecc_uncorrected.value > 0:
            yield finding(
                CAUSE,
                "blocker",
                f"GPU {gpu.index} counts {gpu.ecc_uncorrected.value} uncorrected memory errors.",
                case.quote("uncorrected ECC errors", gpu.ecc_uncorrected),
                confidence="likely",
            )
        if isinstance(gpu.xid_errors, Known) and gpu.xid_errors.value:
            yield finding(
                CAUSE,
                "warning",
                f"GPU {gpu.index} has Xid errors in the kernel log.",
                case.quote("Xid", gpu.xid_errors),
                confidence="possible",
            )


RULE = Rule(cause=CAUSE, link="device", judge=judge, explains=("driver_stack_not_ready", "gpu_memory_insufficient"))
