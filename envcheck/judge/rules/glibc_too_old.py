"""The wheel or library needs a newer glibc or libstdc++."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.version import Version, dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "glibc_too_old"
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
    yield from spoken(case, CAUSE)
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
            yield _finding(
                case,
                f"{name} {dotted(have)} is made for glibc {dotted(needed)}",
                dotted(glibc),
                "blocker" if glibc < _ANY_WHEEL else "warning",
            )
    vllm = case.package("vllm")
    wanted = vllm is not None or case.backend == "vllm"
    if wanted and "vllm" not in seen and glibc < _VLLM_BUILD_HOST:
        yield _finding(
            case,
            "vLLM's wheels are built against glibc 2.31",
            dotted(glibc),
            "blocker" if glibc < _CENTOS_7_LIMIT else "warning",
        )


_ANY_WHEEL: Version = (2, 28)
_CENTOS_7_LIMIT: Version = (2, 27)


def _finding(case: Case, says: str, have: str, severity: str) -> Finding:
    return finding(
        CAUSE, severity, f"{says}; here it is {have}.", case.quote("glibc", case.snapshot.os.glibc), confidence="likely"
    )


RULE = Rule(
    cause=CAUSE,
    link="runtime",
    judge=judge,
    explains=("shared_library_missing", "torch_extension_abi_mismatch", "dependency_missing"),
)
