"""A driver is installed but cannot be used: module not loaded or refused, `nvidia_uvm` or the fabric manager missing, cuInit fails."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import Known, value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "driver_stack_not_ready"
REMEDY = Remedy(
    says="Make the installed driver usable: load nvidia and nvidia_uvm, start the fabric manager on NVSwitch systems, sign the module under Secure Boot.",
    commands=("modprobe nvidia_uvm", "systemctl start nvidia-fabricmanager"),
    risk="restart",
    needs_root=True,
)
SIGNS = (
    Sign("couldn't communicate with the nvidia driver", "nvidia-smi is installed but no kernel module answers."),
    Sign("could not load the nvidia kernel module", "The kernel module cannot be loaded."),
    Sign("unable to load the kernel module", "The kernel module cannot be loaded."),
    Sign("unable to load the 'nvidia", "The kernel module cannot be loaded."),
    Sign("could not insert 'nvidia", "The kernel refuses the NVIDIA module."),
    Sign("modprobe: fatal: module nvidia", "The NVIDIA kernel module is not installed for this kernel."),
    Sign("modprobe: error: could not insert", "The kernel refuses the module.", r"nvidia|amdgpu"),
    Sign("key was rejected by service", "Secure Boot refuses the unsigned kernel module."),
    Sign("required key not available", "Secure Boot refuses the unsigned kernel module."),
    Sign("nvidia: module verification failed", "The kernel module is not signed.", severity="warning", confidence="possible"),
    Sign("building kernel modules", "The kernel module could not be built.", r"(?:error|fail)", confidence="likely"),
    Sign("bad return status for module build", "DKMS could not build the kernel module."),
    Sign("an error occurred while performing the step", "The driver installer could not build the kernel module.", r"kernel module", confidence="certain"),
    Sign("kernel header", "The driver installer lacks the headers of the running kernel.", r"(?:unable to (?:find|determine)|missing|could not|not found|no )", severity="warning", confidence="likely"),
    Sign("kernel source tree", "The driver installer lacks the headers of the running kernel.", r"unable to find"),
    Sign("system not yet initialized", "CUDA is waiting for the NVSwitch fabric manager (error 802)."),
    Sign("system_not_ready", "CUDA is waiting for the NVSwitch fabric manager (error 802)."),
    Sign("cudaerrorsystemnotready", "CUDA is waiting for the NVSwitch fabric manager (error 802)."),
    Sign("fabric manager", "The fabric manager is not running or of another version.", r"fabric manager .{0,80}(?:not running|fail|mismatch|not (?:been )?(?:installed|started)|version|in progress)", confidence="likely"),
    Sign("nvidia-fabricmanager", "The fabric manager is not running.", r"fail|inactive|not|error", confidence="likely"),
    Sign("cuda unknown error", "cuInit answered \"unknown error\" (999): usually nvidia_uvm, a suspend, or a broken set-up of the driver."),
    Sign("cuda_error_unknown", "cuInit answered \"unknown error\" (999)."),
    Sign("cudaerrorunknown", "CUDA answered \"unknown error\" (999)."),
    Sign("cuinit", "cuInit failed.", r"cuinit\W.{0,40}?\b(?:999|802|3|unknown error)\b|cuinit (?:err|fail)|cuinit returned(?! 0)"),
    Sign("cuda driver library failed to get device", "Ollama's cuInit failed.", confidence="likely"),
    Sign("cuda driver library init failure", "libcuda was found and could not be initialised."),
    Sign("cudart init failure", "The CUDA runtime was found and could not be initialised.", confidence="likely"),
    Sign("nvcuda init failure", "libcuda was found and could not be initialised."),
    Sign("failed to initialize nvml: unknown error", "NVML cannot reach the driver.", severity="warning", confidence="possible"),
    Sign("driver not loaded", "The kernel module is not loaded.", r"nvml|nvidia|driver not loaded"),
    Sign("nvml_error_driver_not_loaded", "The kernel module is not loaded."),
    Sign("nvmlerror_drivernotloaded", "The kernel module is not loaded."),
    Sign("initialization error: driver not loaded", "The kernel module is not loaded."),
    Sign("driver rpc error", "The driver's service process does not answer.", confidence="likely"),
    Sign("nvidia_uvm", "The nvidia_uvm module is missing.", r"not (?:loaded|found)|missing|fail|no such|unable"),
    Sign("nvidia-uvm", "The nvidia_uvm device is missing.", r"not (?:loaded|found)|missing|fail|no such|unable|cannot"),
    Sign("initialization of all gpus failed", "The kernel module found no GPU that it can drive.", confidence="likely"),
    Sign("rminitadapter failed", "The kernel module cannot start the GPU.", confidence="likely"),
    Sign("no cuda devices found, cuda will be disabled", "The CUDA build finds no device.", confidence="possible"),
    Sign("no cuda-capable device is detected", "CUDA finds no device (error 100).", confidence="possible", unless=("rocm",)),
    Sign("cudaerrornodevice", "CUDA finds no device (error 100).", confidence="possible"),
    Sign("cuda_error_no_device", "CUDA finds no device (error 100).", confidence="possible"),
    Sign("no supported gpu(s) detected", "The driver installer found no GPU.", confidence="possible"),
    Sign("amdgpu driver is not loaded", "The amdgpu module is not loaded."),
    Sign("amdgpu version file missing", "The amdgpu driver is not the one of the ROCm packages.", severity="info", confidence="possible"),
    Sign("rock module is not loaded", "The AMD kernel driver is not loaded."),
    Sign("rock module is not loaded, possibly no gpu devices", "The AMD kernel driver is not loaded."),
    Sign("driver not initialized (amdgpu not found in modules)", "The amdgpu module is not loaded."),
    Sign("failed to get device handle", "NVML cannot reach the device.", severity="warning", confidence="possible"),
    Sign("found no nvidia driver on your system", "torch finds no driver.", severity="blocker", confidence="likely"),
    Sign("the nvidia driver is not (properly )?installed", "No working driver is installed."),
)  # fmt: skip
_STATES = {
    "module_not_loaded": "The kernel module is not loaded.",
    "uvm_missing": "The nvidia_uvm module is missing.",
    "fabric_manager": "The NVSwitch fabric manager is not running.",
    "crashed": "The driver's library crashed when asked.",
    "failed": "The driver answers with an error.",
    "hung": "The driver did not answer in time.",
}


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the state that a probe or nvidia-smi gave."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    nvidia = case.snapshot.nvidia
    state = value_of(nvidia.state)
    if state in _STATES:
        yield Finding(cause=CAUSE, severity="blocker", says=_STATES[state], evidence=quotes(case.quote("driver state", nvidia.state)), remedy=REMEDY, confidence="certain")
    return_code = value_of(case.snapshot.python.torch.cu_init)
    if return_code in (3, 802, 999):
        fact = case.snapshot.python.torch.cu_init
        yield Finding(cause=CAUSE, severity="blocker", says=f"cuInit(0) returned {return_code}.", evidence=quotes(case.quote("cuInit", fact)), remedy=REMEDY, confidence="certain")
    yield from _works_for_smi_only(case)


def _works_for_smi_only(case: Case) -> Iterator[Finding]:
    """The driver answers nvidia-smi and is new enough, the build is a CUDA build, and CUDA is still not available."""
    torch, nvidia = case.torch, case.snapshot.nvidia
    if torch.accelerator == "cuda" and torch.available is False and isinstance(nvidia.driver, Known) and case.nvidia:
        yield Finding(
            cause=CAUSE,
            severity="warning",
            says="The driver and GPU are there and torch is a CUDA build, yet CUDA is not available.",
            evidence=quotes(case.quote("driver", nvidia.driver), case.quote("available", case.snapshot.python.torch.cuda_available)),
            remedy=REMEDY,
            confidence="possible",
        )


RULE = Rule(cause=CAUSE, link="driver", judge=judge, explains=("cpu_only_build", "container_gpu_not_exposed"))
