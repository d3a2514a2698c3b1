"""This binary has no kernels for the GPU; other builds of the same software have."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.device import Device
from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._archs import compiled_for, runs_on
from envcheck.judge.rules._common import quotes
from envcheck.judge.version import Version, dotted
from envcheck.schema.facts import Known, value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "gpu_arch_not_in_build"
REMEDY = Remedy(says="Install a build that has kernels for this GPU: for Blackwell one made with CUDA 12.8 or newer, for Pascal and older the cu126 build.", commands=("python -c 'import torch; print(torch.cuda.get_arch_list())'",))
SIGNS = (
    Sign("no kernel image is available", "The binary has no kernels for this GPU (error 209).", confidence="likely"),
    Sign("cudaerrornokernelimagefordevice", "The binary has no kernels for this GPU (error 209).", confidence="likely"),
    Sign("cuda_error_no_binary_for_gpu", "The binary has no kernels for this GPU (error 209).", confidence="likely"),
    Sign("is not compatible with the current pytorch installation", "torch says that its build has no kernels for this GPU."),
    Sign("which is no longer supported", "torch says that its build has no kernels for this GPU any more.", r"cuda capability|found gpu"),
    Sign("pytorch no longer supports this gpu", "torch says that its build has no kernels for this GPU any more."),
    Sign("not in compiled architectures", "The runner was compiled for other compute capabilities."),
    Sign("ggml was not compiled with", "The binary was not compiled for this GPU.", r"arch|cuda|support"),
    Sign("was not compiled for", "The binary was not compiled for this GPU.", r"arch|sm_|device|gpu|capability", confidence="likely"),
    Sign("not compiled for the current", "The binary was not compiled for this GPU.", confidence="likely"),
    Sign("compiled for sm", "The kernel was compiled for another GPU.", r"only compiled for|was compiled for|fatal: kernel", confidence="likely"),
    Sign("no sm_", "The binary has no kernels for this GPU.", r"no sm_\d+ (?:kernel|support|image|binar)"),
    Sign("does not support sm_", "The binary has no kernels for this GPU.", confidence="likely"),
    Sign("sm_120", "The build has no kernels for Blackwell.", r"sm_120 (?:is )?(?:not|un)(?: ?supported| compatible|defined)|(?:not support|unsupported|without|lacks?|missing) .{0,30}sm_120", confidence="likely", unless=("ptxas", "nvcc fatal")),
    Sign("device kernel image is invalid", "The kernel image does not fit this GPU (error 200).", confidence="likely"),
    Sign("cudaerrorinvalidkernelimage", "The kernel image does not fit this GPU (error 200).", confidence="likely"),
    Sign("cutlass_scaled_mm", "The kernel is not compiled for this compute capability.", r"no compiled|not compiled|compute capability", confidence="likely"),
    Sign("no compiled cutlass", "The kernel is not compiled for this compute capability.", confidence="likely"),
    Sign("error in arch conditional mma instruction", "A kernel was compiled for another architecture.", confidence="likely"),
    Sign("attempting to use sm", "A kernel for another architecture was chosen.", confidence="likely"),
    Sign("arch_cond", "A kernel was compiled without its architecture's features.", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then each GPU against what the torch build was compiled for."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
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
    return Finding(
        cause=CAUSE,
        severity="blocker",
        says=f"{device.name} has compute capability {dotted(device.capability or ())}; torch {case.torch.label} is compiled for {listed}.",
        evidence=quotes(case.quote("GPU", device.fact), case.quote("torch", case.torch.fact), case.quote("architectures", case.snapshot.python.torch.arch_list) if stated else None),
        remedy=REMEDY,
        confidence="certain" if stated or newer else "likely",
    )


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
