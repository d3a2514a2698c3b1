"""Weights and work space exceed GPU memory, or one buffer exceeds the driver's allocation limit."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._sizes import weights_mib
from envcheck.schema.verdict import Finding

CAUSE = "gpu_memory_insufficient"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the weights that the model's name promises against the memory of all GPUs used."""
    yield from spoken(case, CAUSE)
    weights = weights_mib(case)
    memory = [device.memory_mib for device in (case.nvidia or case.amd) if device.memory_mib]
    if not weights or not memory or case.backend not in ("vllm", "sglang", "tensorrt-llm"):
        return
    size = case.option("tensor_parallel_size") or "1"
    stages = case.option("pipeline_parallel_size") or "1"
    used = min(len(memory), max(1, int(size) * int(stages))) if size.isdigit() and stages.isdigit() else 1
    available = sum(sorted(memory, reverse=True)[:used])
    several_nodes = (case.option("nnodes") or "1") != "1" or (
        size.isdigit() and stages.isdigit() and int(size) * int(stages) > len(memory)
    )
    offload = case.option("cpu_offload_gb") is not None
    if weights > available and not several_nodes and not offload:
        yield finding(
            CAUSE,
            "blocker" if weights > available * _CLEARLY else "warning",
            f"The weights take about {weights / 1024:.0f} GiB; {used} GPU{('s' if used > 1 else '')} with "
            f"{available / 1024:.0f} GiB {('are' if used > 1 else 'is')} used.",
            case.quote("GPU", (case.nvidia or case.amd)[0].fact),
            confidence="likely",
        )


_CLEARLY = 1.15
"""How far the estimate from a name must lie above the memory before it blocks: names round their sizes."""

RULE = Rule(cause=CAUSE, link="model", judge=judge)
