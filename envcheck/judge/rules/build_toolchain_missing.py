"""Compiler, headers or OpenMP are absent at build time or when a kernel is compiled at run time."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import Absent
from envcheck.schema.verdict import Finding

CAUSE = "build_toolchain_missing"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then a machine without compiler or headers where the backend compiles kernels at run time."""
    yield from spoken(case, CAUSE)
    tools = case.snapshot.toolchain
    if (
        case.snapshot.origin == "machine"
        and case.backend in ("vllm", "sglang")
        and isinstance(tools.gcc, Absent)
        and isinstance(tools.gxx, Absent)
    ):
        yield finding(
            CAUSE,
            "warning",
            "There is no C compiler, which Triton needs to compile kernels at run time.",
            case.quote("gcc", tools.gcc),
            confidence="likely",
        )


RULE = Rule(cause=CAUSE, link="backend", judge=judge)
