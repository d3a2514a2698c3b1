"""The device node exists and the user or service account may not open it."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "device_permission_denied"
REMEDY = Remedy(
    says="Give the account that runs the backend access to the device: the groups render and video, or the container its --device and --group-add.",
    commands=("usermod -aG render,video ollama", "systemctl restart ollama"),
    risk="restart",
    needs_root=True,
)
_DENIED = r"permission denied|operation not permitted|access denied|not accessible|eacces|insufficient permission|cannot open|unable to open|could not open|no permission"
SIGNS = (
    Sign("/dev/kfd", "/dev/kfd may not be opened.", _DENIED),
    Sign("/dev/dri", "A render node may not be opened.", _DENIED),
    Sign("/dev/nvidia", "An NVIDIA device node may not be opened.", _DENIED),
    Sign("/dev/davinci", "An Ascend device node may not be opened.", _DENIED),
    Sign("/dev/accel", "An accelerator's device node may not be opened.", _DENIED),
    Sign("kfd", "The AMD compute device may not be opened.", r"(?:user is not|not (?:a )?member of|is not member).{0,60}(?:render|video)|kfd.{0,60}(?:permission|not permitted)"),
    Sign("\"render\" group", "The user is not in the render group.", r"not|add|must"),
    Sign("is not member of", "The user is not in the group that may open the device.", r"render|video"),
    Sign("amdgpu devices detected but permission", "Ollama may not open the AMD device."),
    Sign("permission problems block access", "Ollama may not open the AMD device."),
    Sign("failed to check permission on /dev", "Ollama may not open the AMD device."),
    Sign("failed to initialize nvml: insufficient permissions", "NVML may not open the device."),
    Sign("nvml_error_no_permission", "NVML may not open the device."),
    Sign("nvmlerror_nopermission", "NVML may not open the device."),
    Sign("failed to open /dev/dri", "A render node may not be opened.", confidence="likely"),
    Sign("unable to open /dev/kfd", "/dev/kfd may not be opened."),
    Sign("unable to open /dev/dri", "A render node may not be opened."),
    Sign("libze", "Level Zero may not open the device.", r"permission denied"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then device nodes that a probe could not open."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    access = case.snapshot.os.device_access
    if isinstance(access, Known):
        closed = sorted(node for node, may_open in access.value.items() if not may_open)
        if closed:
            yield Finding(cause=CAUSE, severity="blocker", says=f"This user may not open {', '.join(closed[:4])}.", evidence=quotes(case.quote("device access", access)), remedy=REMEDY, confidence="certain")
    if getattr(case.snapshot.nvidia.state, "value", "") == "permission":
        yield Finding(cause=CAUSE, severity="blocker", says="The driver refuses this user.", evidence=quotes(case.quote("driver state", case.snapshot.nvidia.state)), remedy=REMEDY, confidence="certain")


RULE = Rule(cause=CAUSE, link="device", judge=judge, explains=("cpu_only_build", "driver_stack_not_ready", "rocm_gfx_not_supported"))
