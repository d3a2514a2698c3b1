"""The NVIDIA driver is older than what the binaries, their PTX or the container image need.

Minor-version compatibility: a CUDA 12 runtime starts on every driver from 525.60.13 on, so a lower *minor* is not a fault by
itself; PTX is the exception, because the driver's own compiler must know it. A driver below the floor of its CUDA major is
a fault unless CUDA is seen to work, which means that a forward-compatibility library is in use.
"""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import below, quotes, windows
from envcheck.judge.rules._floors import OLLAMA_DRIVER_FLOOR, cuda_of_driver, driver_floor
from envcheck.judge.version import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "driver_too_old"
REMEDY = Remedy(
    says="Update the NVIDIA driver, or install builds made for the CUDA level that the present driver offers.",
    commands=("nvidia-smi",),
    risk="restart",
    needs_root=True,
)
SIGNS = (
    Sign("unsatisfied condition: cuda", "The container image requires a newer CUDA level than the driver offers."),
    Sign("unsatisfied condition: driver", "The container image requires a newer driver."),
    Sign("driver on your system is too old", "torch found the driver too old for its CUDA runtime."),
    Sign("driver version is insufficient for cuda runtime", "The driver is older than the CUDA runtime of the binary (error 35)."),
    Sign("cudaerrorinsufficientdriver", "The driver is older than the CUDA runtime of the binary (error 35)."),
    Sign("cuda_error_insufficient_driver", "The driver is older than the CUDA runtime of the binary."),
    Sign("unsupported toolchain", "The driver cannot compile PTX made by a newer CUDA toolkit (error 222)."),
    Sign("unsupportedptxversion", "The driver cannot compile PTX made by a newer CUDA toolkit (error 222)."),
    Sign("unsupported_ptx_version", "The driver cannot compile PTX made by a newer CUDA toolkit (error 222)."),
    Sign("unsupported ptx version", "The driver cannot compile PTX made by a newer CUDA toolkit."),
    Sign("forward compatibility was attempted on non supported hw", "A cuda-compat library is loaded on a GPU that it does not support (error 804)."),
    Sign("compatnotsupportedondevice", "A cuda-compat library is loaded on a GPU that it does not support (error 804)."),
    Sign("compat_not_supported_on_device", "A cuda-compat library is loaded on a GPU that it does not support (error 804)."),
    Sign("system_driver_mismatch", "The user-mode driver is newer than the kernel driver supports (error 803).", confidence="likely"),
    Sign("system has unsupported display driver / cuda driver combination", "Display driver and CUDA driver do not fit (error 803).", confidence="likely"),
    Sign("undefined symbol: cu", "libcuda lacks a function that the program loads: the driver is too old.", r"libcuda\.so\S*: undefined symbol: cu[A-Z]|undefined symbol: cu(?:Ctx|Mem|Device|Stream|Launch|Graph|Lib|Multicast|TensorMap|Kernel|Get|Func|Event|Module)[A-Z]\w+"),
    Sign("symbol lookup for cu", "libcuda lacks a function that the program loads: the driver is too old.", r"symbol lookup for cu\w+ failed"),
    Sign("unable to find symbol", "libcuda lacks a function that the program loads: the driver is too old.", r"symbol:? `?'?cu[A-Z]\w+"),
    Sign("cuda driver version", "The program says that the driver is too old.", r"cuda driver version (?:must be|is too old|.{0,40}(?:insufficient|not supported|requires))"),
    Sign("please update your driver", "The program asks for a newer driver.", confidence="likely"),
    Sign("please update your gpu driver", "The program asks for a newer driver."),
    Sign("old cuda driver detected", "Ollama found the driver too old."),
    Sign("driver is too old", "The program says that the driver is too old."),
    Sign("driver too old", "The program says that the driver is too old."),
    Sign("older driver", "The program says that the driver is too old.", r"older driver (?:detected|version)", confidence="likely"),
    Sign("nvml_error_function_not_found", "NVML lacks a function that the program calls: the driver is older than the program expects.", confidence="likely"),
    Sign("nvmlerror_functionnotfound", "NVML lacks a function that the program calls: the driver is older than the program expects.", confidence="likely"),
    Sign("driver version", "The program asks for a newer driver.", r"(?:requires?|needs?|minimum|at least|upgrade|update) .{0,60}driver version .{0,20}\d{3}|driver version .{0,30}(?:is )?(?:too old|not supported|or newer|or higher|required)", confidence="likely"),
    Sign("cannot execute ggml_vulkan", "The Vulkan driver is too old.", confidence="possible"),
    Sign("requested api version", "The Vulkan driver offers an older API than the program needs.", r"vulkan|api version", confidence="likely"),
    Sign("errorincompatibledriver", "The Vulkan driver does not offer the API version the program asks for."),
    Sign("error_incompatible_driver", "The Vulkan driver does not offer the API version the program asks for."),
    Sign("storagebuffer16bitaccess", "The Vulkan driver does not offer 16-bit storage, which the backend needs.", r"does not support|unsupported|not supported|required"),
    Sign("16-bit storage", "The Vulkan driver does not offer 16-bit storage, which the backend needs.", r"does not support 16-bit storage|unsupported device"),
    Sign("rocm driver", "The AMD kernel driver is older than the ROCm user space needs.", r"rocm driver .{0,40}(?:too old|older|not supported|update)", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then driver against the CUDA runtime of torch, then against what Ollama needs."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    driver = version(value_of(case.snapshot.nvidia.driver))
    level = version(value_of(case.snapshot.nvidia.cuda_driver)) or (cuda_of_driver(driver) if driver else None)
    torch = case.torch
    if torch.cuda and torch.accelerator == "cuda" and (driver or level):
        yield from _runtime(case, driver, level)
    if driver and case.backend == "ollama" and driver < OLLAMA_DRIVER_FLOOR:
        yield Finding(
            cause=CAUSE,
            severity="warning",
            says=f"Driver {dotted(driver)} is older than {dotted(OLLAMA_DRIVER_FLOOR)}, which Ollama's CUDA 12 runner needs.",
            evidence=quotes(case.quote("driver", case.snapshot.nvidia.driver)),
            remedy=REMEDY,
            confidence="likely",
        )


def _runtime(case: Case, driver: tuple[int, ...] | None, level: tuple[int, ...] | None) -> Iterator[Finding]:
    torch, nvidia = case.torch, case.snapshot.nvidia
    assert torch.cuda is not None
    floor = driver_floor(torch.cuda, windows(case))
    evidence = quotes(case.quote("driver", nvidia.driver if driver else nvidia.cuda_driver), case.quote("torch CUDA", torch.cuda_fact))
    runtime = dotted(torch.cuda[:2])
    too_old = below(driver, floor) if driver else level is not None and level[0] < torch.cuda[0]
    if too_old and torch.available is not True:
        yield Finding(
            cause=CAUSE,
            severity="blocker",
            says=f"The torch build needs CUDA {runtime} and so a driver of at least {dotted(floor)}; here it is {dotted(driver or level or ())}.",
            evidence=evidence,
            remedy=REMEDY,
            confidence="certain",
        )
    elif too_old:
        yield Finding(
            cause=CAUSE,
            severity="info",
            says=f"The driver is below the floor of CUDA {runtime} and CUDA still starts: a forward-compatibility library is in use.",
            evidence=evidence,
            confidence="possible",
        )
    elif level and level < torch.cuda[:2]:
        yield Finding(
            cause=CAUSE,
            severity="warning" if torch.cuda >= _PTX_SHIPPED_FROM else "info",
            says=f"The driver offers CUDA {dotted(level)}, the build was made with {runtime}: kernels shipped as PTX will be refused.",
            evidence=evidence,
            remedy=REMEDY,
            confidence="possible",
        )


_PTX_SHIPPED_FROM = (12, 8)
"""From CUDA 12.8 on torch wheels carry PTX of their newest target (build_cuda.sh of pytorch: "12.0+PTX")."""

RULE = Rule(cause=CAUSE, link="driver", judge=judge, explains=("driver_stack_not_ready", "cpu_only_build", "shared_library_missing", "gpu_arch_not_in_build"))
