"""The backend has no build for this operating system or CPU architecture."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "os_or_arch_unsupported"
_LINUX_ONLY = ("vllm", "sglang", "tensorrt-llm")


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then a Linux-only backend on native Windows or macOS."""
    yield from spoken(case, CAUSE)
    yield from _architecture(case)
    family = value_of(case.snapshot.os.family)
    wsl = value_of(case.snapshot.os.wsl) is True
    if case.backend in _LINUX_ONLY and family in ("windows", "macos") and not wsl:
        mac = family == "macos"
        yield finding(
            CAUSE,
            "warning" if mac and case.backend == "vllm" else "blocker",
            f"{case.backend} has no build for {('macOS' if mac else 'Windows')}.",
            case.quote("system", case.snapshot.os.distro),
            case.quote("system", case.snapshot.os.family),
            confidence="certain" if not mac else "likely",
        )


def _architecture(case: Case) -> Iterator[Finding]:
    fact = case.snapshot.os.arch
    arch = value_of(fact)
    if case.backend in _LINUX_ONLY and arch in ("armv7l", "i686", "ppc64le"):
        yield finding(CAUSE, "blocker", f"{case.backend} has no build for {arch}.", case.quote("architecture", fact))
    elif case.backend in _LINUX_ONLY and arch == "aarch64" and case.torch.accelerator == "cpu" and case.nvidia:
        says = "On this architecture the default wheel of torch before 2.11 is a CPU build."
        yield finding(CAUSE, "warning", says, case.quote("architecture", fact), case.quote("torch", case.torch.fact))


RULE = Rule(
    cause=CAUSE,
    link="device",
    judge=judge,
    explains=("cpu_only_build", "dependency_missing", "shared_library_missing", "python_version_unsupported"),
)
