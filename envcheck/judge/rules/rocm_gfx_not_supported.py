"""The AMD gfx target is outside the list of the ROCm build."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.rules._gfx import targets
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "rocm_gfx_not_supported"
REMEDY = Remedy(says="Use a build that lists this gfx target, a Vulkan build, or HSA_OVERRIDE_GFX_VERSION with a target of the same generation.", commands=("rocminfo",), risk="risky")
SIGNS = (
    Sign("hiperrornobinaryforgpu", "The ROCm binary has no code for this gfx target."),
    Sign("hip error: invalid device function", "The ROCm binary has no code for this gfx target.", confidence="likely"),
    Sign("rocm error: invalid device function", "The ROCm binary has no code for this gfx target.", confidence="likely"),
    Sign("invalid device function", "The binary has no code for this GPU.", confidence="possible", unless=("cuda error",)),
    Sign("amdgpu is not supported", "Ollama's ROCm runner does not list this gfx target."),
    Sign("amdgpu too old", "Ollama says that the AMD GPU is too old."),
    Sign("unsupported radeon iGPU detected skipping".lower(), "Ollama does not use this integrated Radeon.", severity="warning"),
    Sign("tensilelibrary", "rocBLAS has no library for this gfx target.", r"cannot read|could not|illegal seek|no such file|for gfx|not found|failed to load"),
    Sign("rocblas error", "rocBLAS has no library for this gfx target.", r"rocblas error.{0,40}(?:cannot read|could not (?:load|initialize))|could not initialize tensile"),
    Sign("unable to find code object for all current devices", "The ROCm binary has no code for this gfx target."),
    Sign("no kernel image is available for execution on the device", "The ROCm binary has no code for this gfx target.", r"hip|rocm|amd|gfx"),
    Sign("device kernel image is invalid", "The ROCm binary has no code for this gfx target.", r"hip|rocm"),
    Sign("unsupported gpu architecture", "The ROCm build does not list this gfx target.", r"gfx|amd|hip"),
    Sign("gfx", "The program does not support this gfx target.", r"(?:unsupported|not supported|no support|doesn't support|does not support|unknown|invalid|not in).{0,60}\bgfx[0-9a-f]{3,4}|\bgfx[0-9a-f]{3,4}\S{0,20} (?:is |are )?(?:not (?:currently )?supported|unsupported|not in|is not)|supported types? .{0,10}\[gfx", confidence="likely", unless=("triton", "attention", "fp8")),
    Sign("hsa_status_error_invalid_isa", "The code is for another gfx target."),
    Sign("hsa_status_error", "The AMD runtime failed on this GPU.", r"HSA_STATUS_ERROR(?!_OUT_OF)", severity="warning", confidence="possible"),
    Sign("no compatible amdgpu devices detected", "Ollama found no AMD GPU that its runner supports.", severity="warning"),
    Sign("hip version file missing", "ROCm is not complete.", severity="info", confidence="possible"),
    Sign("illegal seek for gpu arch", "rocBLAS has no library for this gfx target."),
    Sign("rocm is not supported on", "The program does not support ROCm on this GPU.", confidence="likely"),
    Sign("list of available tensilelibrary files", "rocBLAS has no library for this gfx target."),
    Sign("unrecognized gfx", "The build does not know this gfx target."),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then each discrete AMD GPU against the targets of the build or of the backend."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    if case.torch.accelerator not in ("rocm", "") or not case.amd:
        return
    supported = targets(case)
    for device in case.amd:
        if device.gfx and supported and device.gfx not in supported.targets:
            yield Finding(
                cause=CAUSE,
                severity="blocker" if supported.certain else "warning",
                says=f"{device.name} is {device.gfx}; {supported.what} is made for {', '.join(sorted(supported.targets))}.",
                evidence=quotes(case.quote("GPU", device.fact), case.quote("torch", case.torch.fact)),
                remedy=REMEDY,
                confidence="likely" if supported.certain else "possible",
            )
            return


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
