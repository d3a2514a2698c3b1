"""The backend has no build for this operating system or CPU architecture."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import installed
from envcheck.judge.versions import dotted
from envcheck.schema.facts import Absent, Known, Unknown, value_of
from envcheck.schema.verdict import Finding, Severity

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
    yield from _jetson(case, fact)
    for line in case.paste.having(".tar.gz") if case.backend in _LINUX_ONLY else ():
        if _SOURCE.search(line.text):
            says = "pip took the source archive: no wheel of this release is for this system."
            yield finding(CAUSE, "warning", says, quoted(line), case.quote("architecture", fact), confidence="likely")
            return


_SOURCE = re.compile(
    r"(?:using cached|downloading) .{0,200}\b(?:vllm|sgl[_-]kernel)-\d[\w.]{1,30}\.tar\.gz", re.IGNORECASE
)
_FIRST_ARM_WHEEL = (0, 10, 2)
"""The first vLLM with wheels for ARM servers. https://github.com/vllm-project/vllm/releases/tag/v0.10.2"""


def _jetson(case: Case, fact: Known[str] | Absent | Unknown) -> Iterator[Finding]:
    """A Jetson, whose CUDA and torch are its own, and ARM servers before vLLM had wheels for them."""
    if case.backend not in _LINUX_ONLY:
        return
    for word in ("-tegra", "jetson", "jetpack", "orin (nvgpu)"):
        for line in case.paste.having(word):
            says = f"{case.backend} publishes no wheels for Jetson, whose CUDA and torch are its own."
            # Who has it installed built it, or took it from NVIDIA's containers for these boards.
            there: Severity = "warning" if installed(case, case.backend) else "blocker"
            yield finding(CAUSE, there, says, quoted(line), confidence="likely")
            return
    have = case.package("vllm")
    if case.backend == "vllm" and value_of(fact) == "aarch64" and have and have < _FIRST_ARM_WHEEL:
        says = f"vLLM has wheels for ARM servers since {dotted(_FIRST_ARM_WHEEL)}."
        yield finding(CAUSE, "warning", says, case.package_quote("vllm"), case.quote("architecture", fact))


RULE = Rule(
    cause=CAUSE,
    link="device",
    judge=judge,
    explains=("cpu_only_build", "dependency_missing", "shared_library_missing", "python_version_unsupported"),
)
