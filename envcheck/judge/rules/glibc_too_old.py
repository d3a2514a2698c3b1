"""The wheel or library needs a newer glibc or libstdc++."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge import tables, versions
from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import installed, release_of, unreleased
from envcheck.judge.rules._wheels import wheel_files
from envcheck.judge.versions import dotted
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Severity

CAUSE = "glibc_too_old"
_RUNS_WITH = "2.28"
"""vLLM's wheels before 0.12 carry the tag manylinux1 and use newer symbols all the same; the oldest C library on which
they are known to run is that of RHEL 8. https://github.com/vllm-project/vllm/issues/8990"""
_FLASH_SINCE = "2.7.4"
"""From here on flash-attn's binaries use glibc 2.32 symbols. https://github.com/Dao-AILab/flash-attention/issues/1708"""
_NO_WHEEL_BELOW = "2.27"
"""CentOS 7 and its like: no CUDA extension of any inference backend of these years loads there."""


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the C library against the tags of the installed wheels."""
    yield from spoken(case, CAUSE)
    glibc = value_of(case.snapshot.os.glibc)
    if glibc is None:
        return
    for wheel in wheel_files(case):
        if wheel.glibc and versions.at_least(glibc, dotted(wheel.glibc)) is False:
            says = f"The wheel {wheel.name} {wheel.version} needs glibc {dotted(wheel.glibc)}; here it is {glibc}."
            yield finding(
                CAUSE,
                "blocker",
                says,
                quoted(wheel.line),
                case.quote("glibc", case.snapshot.os.glibc),
                confidence="certain",
            )
    for name, label, floor in _floors(case):
        if versions.at_least(glibc, floor) is False:
            low: Severity = "blocker" if versions.at_least(glibc, _NO_WHEEL_BELOW) is False else "warning"
            says = f"{name} {label}".strip() + f" is made for glibc {floor}; here it is {glibc}."
            yield finding(CAUSE, low, says, case.quote("glibc", case.snapshot.os.glibc), confidence="likely")


def _floors(case: Case) -> Iterator[tuple[str, str, str]]:
    torch = case.torch.label
    row = tables.torch_release(torch) if torch and not unreleased(torch) else None
    if row is not None and row.glibc:
        yield "torch", torch, row.glibc
    for name in ("vllm", "sglang") if not torch else ():
        release = release_of(case, name)
        pinned = tables.torch_release(release.torch.lstrip("=")) if release and release.torch else None
        if pinned is not None and pinned.glibc:
            yield f"torch of {name}", installed(case, name) or "", pinned.glibc
    flash = installed(case, "flash-attn")
    if flash and versions.at_least(flash, _FLASH_SINCE):
        yield "flash-attn", flash, "2.32"
    for name in ("vllm", "sglang"):
        release, have = release_of(case, name), installed(case, name)
        if have and unreleased(have):
            continue
        if release is not None and release.glibc:
            yield name, have or "", release.glibc
        elif name == "vllm" and (have or case.backend == "vllm"):
            yield name, have or "", _RUNS_WITH


RULE = Rule(
    cause=CAUSE,
    link="runtime",
    judge=judge,
    explains=("shared_library_missing", "torch_extension_abi_mismatch", "dependency_missing"),
)
