"""Tensor or pipeline parallel size larger than the GPUs that one node shows."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "parallel_size_exceeds_gpus"


_FULL_NODE = 8


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the requested size of one node against the devices listed."""
    yield from spoken(case, CAUSE)
    yield from _undivided(case)
    per_node = _per_node(case)
    count = (
        value_of(case.snapshot.python.torch.device_count)
        or len(case.nvidia)
        or (len(case.amd) if not _rocm_lists_one(case) else 0)
    )
    if (
        per_node
        and count
        and case.counted()
        and per_node > count
        and case.backend in ("vllm", "sglang", "tensorrt-llm", "")
    ):
        # Whole nodes of eight, asked for in a multiple: the rest is on other nodes, which the options did not say.
        other_nodes = count >= _FULL_NODE and per_node % count == 0
        fact = case.devices[0].fact if case.devices else case.snapshot.python.torch.device_count
        yield finding(
            CAUSE,
            "warning" if other_nodes or _cut_short(case) else "blocker",
            f"{per_node} GPUs are asked for on one node and {count} {('is' if count == 1 else 'are')} visible.",
            case.quote("GPU", fact),
            confidence="likely",
        )


def _undivided(case: Case) -> Iterator[Finding]:
    """Each GPU of a tensor-parallel group gets an equal number of attention heads, or the engine refuses.

    `ModelConfig.verify_with_parallel_config` of vllm-project/vllm
    """
    size = (case.option("tensor_parallel_size") or "1")[:8]
    heads = case.need.heads if case.need else 0
    if case.backend in ("vllm", "sglang") and size.isdigit() and int(size) > 1 and heads and heads % int(size):
        says = f"{heads} attention heads cannot be divided among {size} GPUs; the engine refuses that size."
        quote = case.quote("GPU", case.devices[0].fact) if case.devices else None
        yield finding(CAUSE, "warning", says, quote, confidence="likely")


def _cut_short(case: Case) -> bool:
    """nvidia-smi's table closes with the processes; without them a pasted table of several GPUs may go on."""
    rows = case.paste.matching("mib /", r"\|\s+\d+MiB /\s+\d+MiB \|")
    return len(list(rows)) > 1 and "processes:" not in case.paste


def _rocm_lists_one(case: Case) -> bool:
    """torch's collect_env names one AMD GPU however many there are."""
    return len(case.amd) == 1


def _per_node(case: Case) -> int:
    sizes = 1
    for name in ("tensor_parallel_size", "pipeline_parallel_size"):
        value = case.option(name) or ""
        sizes *= int(value) if value.isdigit() and int(value) > 0 else 1
    nodes = case.option("nnodes") or "1"
    if nodes.isdigit() and int(nodes) > 1:
        return sizes // int(nodes)
    ray = (case.option("distributed_executor_backend") or "").lower() == "ray"
    return 0 if ray and (case.option("pipeline_parallel_size") or "1") != "1" else sizes


RULE = Rule(cause=CAUSE, link="device", judge=judge)
