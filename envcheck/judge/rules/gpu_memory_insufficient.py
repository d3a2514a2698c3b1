"""Weights and work space exceed GPU memory, or one buffer exceeds the driver's allocation limit."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._sizes import used_mib, weights_mib
from envcheck.schema.verdict import Finding, Severity

CAUSE = "gpu_memory_insufficient"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the weights that the model's name promises against the memory of all GPUs used."""
    yield from spoken(case, CAUSE)
    weights, used = weights_mib(case), used_mib(case)
    if weights and used and weights > used:
        says = f"The weights take about {weights / 1024:.0f} GiB; the GPUs used have {used / 1024:.0f} GiB."
        devices = case.nvidia or case.amd
        severity: Severity = "blocker" if weights > used * _CLEARLY else "warning"
        yield finding(CAUSE, severity, says, case.quote("GPU", devices[0].fact))


_CLEARLY = 1.15
"""How far the estimate from a name must lie above the memory before it blocks: names round their sizes."""

RULE = Rule(cause=CAUSE, link="model", judge=judge)
