"""A quantization method that has no kernels for this type of device."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge import tables
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import installed
from envcheck.judge.rules._models import method
from envcheck.judge.versions import version
from envcheck.schema.gaps import KernelGap, KernelGaps
from envcheck.schema.verdict import Finding

CAUSE = "quant_unsupported_on_device"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the method against the device that will be used."""
    yield from spoken(case, CAUSE)
    wanted = method(case)
    if not wanted or case.backend not in ("vllm", "sglang"):
        return
    gap = _gap(case, wanted, "cpu") if case.torch.accelerator == "cpu" else None
    if gap is not None:
        says = f"{wanted} has no CPU kernels and torch is a CPU build."
        yield finding(CAUSE, "blocker", says, case.quote("torch", case.torch.fact), confidence="likely")
    yield from _below(case, wanted)
    gap = _gap(case, wanted, "amd") if case.amd and case.torch.accelerator in ("rocm", "") else None
    if gap is not None:
        says = f"{wanted} kernels are written for CUDA; the ROCm build" + (
            " has none." if gap.certain else " may lack them."
        )
        yield finding(CAUSE, "warning", says, case.quote("GPU", case.amd[0].fact), confidence="possible")


def _gap(case: Case, wanted: str, device: str) -> KernelGap | None:
    """The row for this method, of the backend itself or of vLLM, whose kernels SGLang took over."""
    rows = [row for row in load("kernel_gaps", KernelGaps).gap if (row.method, row.device) == (wanted, device)]
    return next((row for name in (case.backend, "vllm") for row in rows if row.backend == name), None)


def _below(case: Case, wanted: str) -> Iterator[Finding]:
    """An NVIDIA GPU below the method's floor; for SGLang the floor of the same kernels in vLLM is a suspicion."""
    own = case.backend == "vllm"
    row = tables.kernel_row("vllm", "quantization", wanted, installed(case, "vllm") if own else None, newest=True)
    floor = version(row.min_compute_capability) if row else None
    low = [device for device in case.nvidia if floor and device.capability and device.capability < floor]
    if row and low:
        has = ".".join(map(str, low[0].capability or ()))
        name = wanted.replace("_", "-")
        says = f"{name} needs compute capability {row.min_compute_capability}; {low[0].name} has {has}."
        yield finding(CAUSE, "blocker" if own else "warning", says, case.quote("GPU", low[0].fact), confidence="likely")


RULE = Rule(cause=CAUSE, link="model", judge=judge)
