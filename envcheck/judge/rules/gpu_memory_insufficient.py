"""Weights and work space exceed GPU memory, or one buffer exceeds the driver's allocation limit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
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
    yield from _partly_offloaded(case)


def _partly_offloaded(case: Case) -> Iterator[Finding]:
    """Ollama puts as many layers on the GPU as fit; what is left out runs on the CPU."""
    if case.backend != "ollama" or "num_gpu" in case.paste:
        return
    for literal, pattern in (("layers.offload", _PLANNED), ("layers to gpu", _DONE)):
        for line, match in case.paste.matching(literal, pattern.pattern):
            have, wanted = (int(group) for group in match.group("have", "all"))
            if have < wanted * _MOST:
                says = f"{have} of {wanted} layers fit into GPU memory; the rest runs on the CPU."
                yield finding(CAUSE, "warning", says, quoted(line), confidence="likely")
                return


_PLANNED = re.compile(r"layers\.requested=-1 layers\.model=(?P<all>\d{1,4}) layers\.offload=(?P<have>\d{1,4})")
_DONE = re.compile(r"offloaded (?P<have>\d{1,4})/(?P<all>\d{1,4}) layers to gpu", re.IGNORECASE)
_MOST = 0.9


_CLEARLY = 1.15
"""How far the estimate from a name must lie above the memory before it blocks: names round their sizes."""

RULE = Rule(cause=CAUSE, link="model", judge=judge)
