"""The loaded kernel module and the user-space driver libraries are of different versions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Finding

CAUSE = "driver_userspace_mismatch"
_NAMES = ("libcuda.so", "libnvidia", "nvidia-smi ", "nvml version", "nvidia-utils")
_MODULE = re.compile(r"kernel module(?: for \S+)?\s+(\d{3}\.\d{1,3}(?:\.\d{1,3})?)", re.IGNORECASE)
_LIBRARY = re.compile(
    r"(?:libcuda\.so|libnvidia-[a-z]+\.so|nvidia-smi|nvml version:?|nvidia-utils-\d+|libnvidia-compute-\d+\S*)"
    r"[.\s:(]+\s*(\d{3}\.\d{1,3}(?:\.\d{1,3})?)",
    re.IGNORECASE,
)


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the two versions where a paste or a probe holds both."""
    yield from spoken(case, CAUSE)
    yield from _probed(case)
    modules = [(line, m.group(1)) for line, m in case.paste.matching("kernel module", _MODULE.pattern)]
    libraries = [(line, m.group(1)) for word in _NAMES for line, m in case.paste.matching(word, _LIBRARY.pattern)]
    for module_line, module in modules:
        for library_line, library in libraries:
            if not module.startswith(library) and not library.startswith(module):
                yield finding(
                    CAUSE,
                    "blocker",
                    f"The kernel module is {module}, the user-space driver is {library}.",
                    quoted(module_line),
                    quoted(library_line),
                    confidence="certain",
                )
                return


def _probed(case: Case) -> Iterator[Finding]:
    nvidia = case.snapshot.nvidia
    if not (isinstance(nvidia.driver, Known) and isinstance(nvidia.user_mode_driver, Known)):
        return
    if nvidia.driver.value != nvidia.user_mode_driver.value and not isinstance(nvidia.compat_library, Known):
        yield finding(
            CAUSE,
            "blocker",
            f"The kernel module is {nvidia.driver.value}, the user-space driver is {nvidia.user_mode_driver.value}.",
            case.quote("module", nvidia.driver),
            case.quote("library", nvidia.user_mode_driver),
            confidence="certain",
        )


RULE = Rule(
    cause=CAUSE,
    link="driver",
    judge=judge,
    explains=("driver_stack_not_ready", "container_gpu_not_exposed", "cpu_only_build", "driver_too_old"),
)
