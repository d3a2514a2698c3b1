"""The wheel or library needs a newer glibc or libstdc++."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.version import Version, dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "glibc_too_old"
REMEDY = Remedy(says="Run in a container with a newer system, update the distribution, or install a release made for this glibc.", commands=("ldd --version",), risk="risky")
SIGNS = (
    Sign("glibc_", "A binary needs a newer glibc.", r"version [`'\"]?GLIBC_2\.\d+['\"]? not found|GLIBC_2\.\d+.{0,30}not found"),
    Sign("glibcxx_", "A binary needs a newer libstdc++.", r"GLIBCXX_3\.4\.\d+.{0,30}not found"),
    Sign("cxxabi_", "A binary needs a newer libstdc++.", r"CXXABI_1\.3\.\d+.{0,30}not found"),
    Sign("libstdc++.so.6: version", "A binary needs a newer libstdc++.", r"not found"),
    Sign("glibc", "The program needs a newer glibc.", r"(?:requires?|needs?|minimum|at least|or (?:newer|later|higher)).{0,40}glibc ?(?:version )?(?:>=)? ?2\.\d+|glibc (?:version )?(?:is )?too old|glibc.{0,30}(?:or (?:newer|later|higher)|required)", confidence="likely"),
    Sign("manylinux_2_", "The wheel is made for a newer glibc.", r"manylinux_2_\d+.{0,80}(?:not (?:a )?(?:supported|compatible)|incompatible|is not)", confidence="likely"),
    Sign("musl", "The system has musl and the wheels are made for glibc.", r"error|not (?:found|supported)|no matching|ld-musl|unsupported", severity="warning", confidence="likely"),
    Sign("ld-linux-x86-64.so.2", "The system has no glibc.", r"no such file|not found", confidence="likely"),
)  # fmt: skip
# Wheel tags on PyPI, newest first: package, release, glibc of the tag.
_TAGS: tuple[tuple[str, Version, Version], ...] = (
    ("vllm", (0, 22), (2, 28)),
    ("vllm", (0, 20), (2, 35)),
    ("vllm", (0, 12), (2, 31)),
    ("sglang", (0, 5, 15), (2, 34)),
    ("torch", (2, 7), (2, 28)),
)
_VLLM_BUILD_HOST: Version = (2, 31)
"""vLLM's wheels before 0.12 carry the tag manylinux1 and are built on Ubuntu 20.04 (glibc 2.31), whose symbols its CUDA
extension uses on some paths. https://github.com/vllm-project/vllm/blob/main/docker/Dockerfile"""


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the C library against the tags of the installed wheels."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    fact = case.snapshot.os.glibc
    glibc = version(value_of(fact))
    if glibc is None:
        return
    seen: set[str] = set()
    for name, since, needed in _TAGS:
        have = case.torch.release if name == "torch" else case.package(name)
        if have is None or have < since or name in seen:
            continue
        seen.add(name)
        if glibc < needed:
            yield _finding(case, f"{name} {dotted(have)} is made for glibc {dotted(needed)}", dotted(glibc), "blocker" if glibc < _ANY_WHEEL else "warning")
    vllm = case.package("vllm")
    wanted = vllm is not None or case.backend == "vllm"
    if wanted and "vllm" not in seen and glibc < _VLLM_BUILD_HOST:
        yield _finding(case, "vLLM's wheels are built against glibc 2.31", dotted(glibc), "blocker" if glibc < _CENTOS_7_LIMIT else "warning")


_ANY_WHEEL: Version = (2, 28)
_CENTOS_7_LIMIT: Version = (2, 27)


def _finding(case: Case, says: str, have: str, severity: str) -> Finding:
    return Finding(cause=CAUSE, severity=severity, says=f"{says}; here it is {have}.", evidence=quotes(case.quote("glibc", case.snapshot.os.glibc)), remedy=REMEDY, confidence="likely")  # type: ignore[arg-type]


RULE = Rule(cause=CAUSE, link="runtime", judge=judge, explains=("shared_library_missing", "torch_extension_abi_mismatch", "dependency_missing"))
