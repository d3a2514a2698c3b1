"""This binary has no kernels for the GPU; other builds of the same software have."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge import versions
from envcheck.judge.device import Device
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._images import archives, images
from envcheck.judge.rules._matrix import compiled_for, installed
from envcheck.judge.tables import kernels_serve
from envcheck.judge.versions import dotted, version
from envcheck.schema.facts import Known
from envcheck.schema.gaps import KernelGaps
from envcheck.schema.pins import Toolkits
from envcheck.schema.verdict import Finding

CAUSE = "gpu_arch_not_in_build"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then each GPU against what the torch build was compiled for."""
    yield from spoken(case, CAUSE)
    if case.torch.accelerator not in ("cuda", ""):
        return
    kernels, ptx = compiled_for(case)
    for device in case.nvidia:
        capability = dotted((device.capability or ())[:2])
        if kernels and capability and kernels_serve(capability, kernels, ptx) is False:
            yield _missing(case, device, kernels)
            return
    if not kernels:
        yield from _older(case)
    yield from _extension(case)
    yield from _dropped(case)


def _older(case: Case) -> Iterator[Finding]:
    """A build that no table lists, made with a CUDA that could not yet compile for any GPU of this generation."""
    made = case.torch.cuda
    rows = load("toolkits", Toolkits).generation
    for device in case.nvidia:
        # Code for a lower minor of the same major runs too, so the first toolkit of any of them would do.
        able = [
            first
            for row in rows
            if device.capability and (first := version(row.first)) and (known := version(row.compute_capability))
            if known[0] == device.capability[0] and known <= device.capability
        ]
        if made and able and made[:2] < min(able):
            says = f"torch {case.torch.label} is made with CUDA {dotted(made[:2])}, which compiles nothing for "
            says += f"{device.name} ({device.sm}); CUDA {dotted(min(able))} is the first that does."
            evidence = (case.quote("GPU", device.fact), case.quote("torch", case.torch.cuda_fact))
            yield finding(CAUSE, "blocker", says, *evidence, confidence="likely")
            return


def _dropped(case: Case) -> Iterator[Finding]:
    """CUDA 13 compiles nothing for GPUs before Turing, so no image or archive of it has code for them.

    https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html (Deprecated Architectures)
    """
    for built in (*images(case), *archives(case)):
        low = [device for device in case.nvidia if device.capability and device.capability < _TURING]
        if low and (version(built.cuda) or ()) >= _WITHOUT_OLDER:
            says = f"{built.name} is built with CUDA {built.cuda}, which has no code for {low[0].name} ({low[0].sm})."
            yield finding(CAUSE, "blocker", says, quoted(built.line), case.quote("GPU", low[0].fact))
            return


_TURING = (7, 5)
_WITHOUT_OLDER = (13,)


def _extension(case: Case) -> Iterator[Finding]:
    """A backend that cannot do without an extension whose wheels were compiled for fewer GPUs than torch."""
    for row in load("kernel_gaps", KernelGaps).extension:
        have = installed(case, row.backend)
        if row.backend != case.backend or (have and not versions.at_least(versions.base(have), row.since)):
            continue
        for device in case.nvidia:
            capability = dotted((device.capability or ())[:2])
            if capability and kernels_serve(capability, row.kernels) is False:
                says = f"{device.name} has capability {capability}; {row.package} is made for {', '.join(row.kernels)}."
                yield finding(CAUSE, "warning", says, case.quote("GPU", device.fact))
                return


def _missing(case: Case, device: Device, kernels: tuple[str, ...]) -> Finding:
    stated = case.snapshot.python.torch.arch_list
    capability = dotted(device.capability or ())
    return finding(
        CAUSE,
        "blocker",
        f"{device.name} has capability {capability}; torch {case.torch.label} is made for {', '.join(kernels)}.",
        case.quote("GPU", device.fact),
        case.quote("torch", case.torch.fact),
        case.quote("architectures", stated) if isinstance(stated, Known) else None,
        confidence="certain" if isinstance(stated, Known) else "likely",
    )


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
