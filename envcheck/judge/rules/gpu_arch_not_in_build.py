"""This binary has no kernels for the GPU; other builds of the same software have."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.device import Device
from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._archs import compiled_for, runs_on
from envcheck.judge.rules._common import finding
from envcheck.judge.version import Version, dotted
from envcheck.schema.facts import Known, value_of
from envcheck.schema.verdict import Finding

CAUSE = "gpu_arch_not_in_build"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then each GPU against what the torch build was compiled for."""
    yield from spoken(case, CAUSE)
    if case.torch.accelerator not in ("cuda", ""):
        return
    stated = case.snapshot.python.torch.arch_list
    archs = compiled_for(case.torch, value_of(stated))
    if not archs:
        return
    for device in case.nvidia:
        if device.capability and not runs_on(archs, device.capability[:2]):
            yield _missing(case, device, archs, isinstance(stated, Known))
            return


def _missing(case: Case, device: Device, archs: tuple[Version, ...], stated: bool) -> Finding:
    newer = device.capability is not None and device.capability > max(archs)
    listed = ", ".join(dotted(arch) for arch in archs)
    return finding(
        CAUSE,
        "blocker",
        f"{device.name} has compute capability {dotted(device.capability or ())}; torch {case.torch.label} is "
        f"compiled for {listed}.",
        case.quote("GPU", device.fact),
        case.quote("torch", case.torch.fact),
        case.quote("architectures", case.snapshot.python.torch.arch_list) if stated else None,
        confidence="certain" if stated or newer else "likely",
    )


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
