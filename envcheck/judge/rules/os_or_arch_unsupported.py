"""The backend has no build for this operating system or CPU architecture."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "os_or_arch_unsupported"
REMEDY = Remedy(says="Run the backend under Linux (on Windows: WSL2 or a container), or choose one that has a build for this system: Ollama, llama.cpp.", commands=("wsl --install",))
SIGNS = (
    Sign("only supports linux", "The backend supports Linux only."),
    Sign("vllm only supports linux platform", "vLLM supports Linux only."),
    Sign("no module named 'resource'", "The backend imports a module that Windows does not have."),
    Sign("no module named 'fcntl'", "The backend imports a module that Windows does not have."),
    Sign("no module named 'uvloop'", "uvloop has no build for Windows.", severity="warning", confidence="possible"),
    Sign("uvloop does not support windows", "uvloop has no build for Windows."),
    Sign("no module named 'pwd'", "The program imports a module that Windows does not have."),
    Sign("module 'signal' has no attribute", "The backend uses signals that Windows does not have.", r"SIG(?:KILL|ALRM|USR|HUP|QUIT|CHLD)"),
    Sign("module 'os' has no attribute", "The backend uses calls that Windows does not have.", r"'(?:setsid|fork|getuid|geteuid|killpg|sched_\w+|uname)'"),
    Sign("exec format error", "The binary or image is made for another CPU architecture."),
    Sign("cannot execute binary file", "The binary is made for another CPU architecture.", r"exec format|cannot execute binary file"),
    Sign("requested image's platform", "The image is made for another CPU architecture."),
    Sign("no matching manifest for", "The image has no build for this system or architecture."),
    Sign("no match for platform in manifest", "The image has no build for this system or architecture."),
    Sign("is not a supported wheel on this platform", "The wheel is made for another platform.", severity="warning", confidence="possible"),
    Sign("unsupported platform", "The program does not support this platform.", confidence="likely", unless=("nvidia-device-plugin",)),
    Sign("platform is not supported", "The program does not support this platform.", confidence="likely"),
    Sign("is not supported on windows", "The program does not support Windows.", confidence="likely"),
    Sign("not supported on windows", "The program does not support Windows.", confidence="likely", unless=("expandable_segments", "torch.compile", "libuv")),
    Sign("windows is not supported", "The program does not support Windows.", confidence="likely"),
    Sign("macos is not supported", "The program does not support macOS.", confidence="likely"),
    Sign("unsupported os", "The program does not support this system.", confidence="likely"),
    Sign("unsupported architecture", "The program does not support this CPU architecture.", r"unsupported architecture:? .{0,20}(?:aarch64|arm|x86|ppc|riscv|i[36]86)", confidence="certain"),
    Sign("aarch64", "There is no build for this CPU architecture.", r"(?:no (?:matching|compatible|prebuilt|wheel|build)|not (?:available|supported)|unsupported|unable to find|could not find|only .{0,20}x86).{0,80}(?:aarch64|arm64)|(?:aarch64|arm64).{0,60}(?:is )?(?:not supported|unsupported|no wheel|not available)", confidence="likely"),
    Sign("arm64", "There is no build for this CPU architecture.", r"(?:no (?:matching|compatible|prebuilt|wheel|build)|not (?:available|supported)|unsupported).{0,80}arm64|arm64.{0,60}(?:is )?(?:not supported|unsupported)", confidence="likely"),
    Sign("doesn't have a source distribution or wheel for the current platform", "There is no build for this platform."),
    Sign("has no wheels with a matching platform tag", "There is no wheel for this platform."),
    Sign("no wheels with a matching platform", "There is no wheel for this platform."),
    Sign("wrong elf class", "A library is made for another CPU architecture.", severity="info", confidence="possible"),
    Sign("incompatible architecture", "A library is made for another CPU architecture.", r"have '|need|mach-o"),
    Sign("bad cpu type in executable", "The binary is made for another CPU architecture."),
    Sign("is not a valid win32 application", "The binary is made for another CPU architecture.", confidence="likely"),
    Sign("only available on linux", "The program supports Linux only.", confidence="likely"),
    Sign("only available for linux", "The program supports Linux only.", confidence="likely"),
    Sign("triton is not supported on", "Triton has no build for this system.", confidence="likely"),
    Sign("no module named 'triton'", "Triton has no build for this system.", severity="info", confidence="possible"),
    Sign("_posixshmem", "The program imports a module that Windows does not have.", confidence="likely"),
    Sign("assertionerror: vllm only supports", "vLLM does not support this system."),
    Sign("use_libuv was requested but pytorch was build without libuv support", "torch's store on Windows has no libuv.", confidence="likely", severity="warning"),
)  # fmt: skip
_LINUX_ONLY = ("vllm", "sglang", "tensorrt-llm")


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then a Linux-only backend on native Windows or macOS."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    family = value_of(case.snapshot.os.family)
    wsl = value_of(case.snapshot.os.wsl) is True
    if case.backend in _LINUX_ONLY and family in ("windows", "macos") and not wsl:
        mac = family == "macos"
        yield Finding(
            cause=CAUSE,
            severity="warning" if mac and case.backend == "vllm" else "blocker",
            says=f"{case.backend} has no build for {'macOS' if mac else 'Windows'}.",
            evidence=quotes(case.quote("system", case.snapshot.os.distro), case.quote("system", case.snapshot.os.family)),
            remedy=REMEDY,
            confidence="certain" if not mac else "likely",
        )


RULE = Rule(cause=CAUSE, link="device", judge=judge, explains=("cpu_only_build", "dependency_missing", "shared_library_missing", "python_version_unsupported"))
