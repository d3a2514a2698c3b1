"""The wheel or library needs a newer glibc or libstdc++."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge import tables, versions
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import installed, release_of, unreleased
from envcheck.judge.rules._wheels import wheel_files
from envcheck.judge.versions import dotted
from envcheck.schema.facts import Known, value_of
from envcheck.schema.pins import Binaries
from envcheck.schema.verdict import Finding, Severity

CAUSE = "glibc_too_old"
_NO_WHEEL_BELOW = "2.27"
"""CentOS 7 and its like: no CUDA extension of any inference backend of these years loads there."""


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the C library against the tags of the installed wheels."""
    yield from spoken(case, CAUSE)
    os = case.snapshot.os
    listed = _of_distribution(value_of(os.distro) or "") if value_of(os.libc) != "musl" else None
    glibc = value_of(os.glibc) or listed
    if glibc is None:
        return
    library = case.quote("glibc", os.glibc if isinstance(os.glibc, Known) else os.distro)
    for wheel in wheel_files(case):
        if wheel.glibc and versions.at_least(glibc, dotted(wheel.glibc)) is False:
            says = f"The wheel {wheel.name} {wheel.version} needs glibc {dotted(wheel.glibc)}; here it is {glibc}."
            yield finding(
                CAUSE,
                "blocker",
                says,
                quoted(wheel.line),
                library,
                confidence="certain",
            )
    for name, label, floor in _floors(case):
        if versions.at_least(glibc, floor) is False:
            low: Severity = "blocker" if versions.at_least(glibc, _NO_WHEEL_BELOW) is False else "warning"
            says = f"{name} {label}".strip() + f" is made for glibc {floor}; here it is {glibc}."
            yield finding(CAUSE, low, says, library, confidence="likely")


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
    for name in ("vllm", "sglang"):
        release, have = release_of(case, name), installed(case, name)
        if have and not unreleased(have) and release is not None and release.glibc:
            yield name, have, release.glibc
    for floor in load("binaries", Binaries).glibc:
        have = _installed(case, floor.package)
        wanted = have is None and floor.package == "vllm" and case.backend == "vllm"
        if wanted or (have and not unreleased(have) and versions.within(versions.base(have), floor.versions)):
            yield floor.package, have or "", floor.glibc


def _installed(case: Case, name: str) -> str | None:
    presence = case.snapshot.backend(name)
    return installed(case, name) or (value_of(presence.binary) if presence else None)


def _of_distribution(name: str) -> str | None:
    """The C library of a distribution as people spell it ("Red Hat Enterprise Linux Server release 7.9 (Maipo)")."""
    text = name.lower().replace("red hat enterprise linux", "rhel")
    for word in (" server", " release", " lts"):
        text = text.replace(word, "")
    return tables.glibc_of(text)


RULE = Rule(
    cause=CAUSE,
    link="runtime",
    judge=judge,
    explains=("shared_library_missing", "torch_extension_abi_mismatch", "dependency_missing"),
)
