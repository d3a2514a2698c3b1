"""The device reports a physical fault."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "gpu_hardware_fault"
REMEDY = Remedy(says="Take the GPU out of use, look at the kernel log for its Xid, reset or reseat it, and have it replaced if the fault returns.", commands=("nvidia-smi -q -d ECC", "dmesg"), risk="risky", needs_root=True)
SIGNS = (
    Sign("uncorrectable ecc error", "The GPU's memory has an uncorrectable error."),
    Sign("eccuncorrectable", "The GPU's memory has an uncorrectable error."),
    Sign("ecc_uncorrectable", "The GPU's memory has an uncorrectable error."),
    Sign("double bit ecc", "The GPU's memory has a double-bit error."),
    Sign("double-bit ecc", "The GPU's memory has a double-bit error."),
    Sign("gpu has fallen off the bus", "The GPU has fallen off the bus."),
    Sign("fallen off the bus", "The GPU has fallen off the bus."),
    Sign("gpu is lost", "The driver lost the GPU."),
    Sign("nvml_error_gpu_is_lost", "The driver lost the GPU."),
    Sign("unable to determine the device handle", "The driver does not reach the GPU.", confidence="likely"),
    Sign("xid", "The kernel driver reported a fault of the hardware.", r"\bXid\b.{0,60}?[:,( ](?:48|61|62|63|64|74|79|92|94|95|110|119|120|136|140|143|144|145|149)\b"),
    Sign("row remapp", "A memory row could not be remapped.", r"fail|pending.{0,12}yes", confidence="likely"),
    Sign("nvlink error", "An NVLink reported an error.", r"uncorrectable|fatal"),
    Sign("ras error", "The AMD GPU reports an uncorrectable error.", r"uncorrect", confidence="likely"),
    Sign("err!", "nvidia-smi cannot read the device's sensors.", r"\|\s*(?:ERR!|\d+\s+.{0,60}ERR!)", severity="warning", confidence="likely"),
    Sign("hardware slowdown", "The GPU slows down for a fault.", r"power brake", severity="warning", confidence="possible"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then error counters of the devices."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    gpus = case.snapshot.nvidia.gpus
    for gpu in gpus.value if isinstance(gpus, Known) else ():
        if isinstance(gpu.ecc_uncorrected, Known) and gpu.ecc_uncorrected.value > 0:
            yield Finding(cause=CAUSE, severity="blocker", says=f"GPU {gpu.index} counts {gpu.ecc_uncorrected.value} uncorrected memory errors.", evidence=quotes(case.quote("uncorrected ECC errors", gpu.ecc_uncorrected)), remedy=REMEDY, confidence="likely")
        if isinstance(gpu.xid_errors, Known) and gpu.xid_errors.value:
            yield Finding(cause=CAUSE, severity="warning", says=f"GPU {gpu.index} has Xid errors in the kernel log.", evidence=quotes(case.quote("Xid", gpu.xid_errors)), remedy=REMEDY, confidence="possible")


RULE = Rule(cause=CAUSE, link="device", judge=judge, explains=("driver_stack_not_ready", "gpu_memory_insufficient"))
