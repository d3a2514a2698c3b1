"""Tensor or pipeline parallel size larger than the GPUs that one node shows."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "parallel_size_exceeds_gpus"
REMEDY = Remedy(says="Lower the parallel size to the number of visible GPUs of a node, or make the missing GPUs visible.", commands=("nvidia-smi -L",))
SIGNS = (
    Sign("invalid device ordinal", "A worker asked for a GPU number that is not there (error 101).", confidence="likely", unless=("hip error",)),
    Sign("cuda_error_invalid_device", "A worker asked for a GPU number that is not there (error 101).", confidence="likely"),
    Sign("cudaerrorinvaliddevice", "A worker asked for a GPU number that is not there (error 101).", r"cudaErrorInvalidDevice\b", confidence="likely"),
    Sign("world size", "The world size is larger than the number of GPUs.", r"world size \(?\d+\)? is (?:larger|greater) than the number of available gpus"),
    Sign("total number of devices required", "More GPUs are asked for than there are.", confidence="likely"),
    Sign("number of required gpus exceeds the total number of available gpus", "More GPUs are asked for than the cluster has."),
    Sign("exceeds the total number of available gpus", "More GPUs are asked for than the cluster has."),
    Sign("tensor parallel size", "The parallel size is larger than the number of GPUs.", r"tensor parallel size.{0,60}(?:exceeds|larger|greater|not enough|cannot)", confidence="likely"),
    Sign("tensor_parallel_size", "The parallel size is larger than the number of GPUs.", r"tensor_parallel_size.{0,60}(?:exceeds|larger than|greater than|less than or equal).{0,60}gpu", confidence="likely"),
    Sign("duplicate gpu detected", "Two ranks use the same GPU: more ranks than GPUs on the node.", confidence="likely"),
    Sign("no available node types can fulfill resource request", "Ray has fewer GPUs than the placement group asks for."),
    Sign("the current node has", "A node has fewer GPUs than its share of the parallel size.", r"gpus? available"),
    Sign("placement group", "Ray has fewer GPUs than the placement group asks for.", r"cannot be (?:scheduled|fulfilled)|not enough|requires .{0,30}gpu", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the requested size of one node against the devices listed."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    per_node = _per_node(case)
    count = value_of(case.snapshot.python.torch.device_count) or len(case.nvidia) or (len(case.amd) if not _rocm_lists_one(case) else 0)
    if per_node and count and per_node > count and case.backend in ("vllm", "sglang", "tensorrt-llm", ""):
        fact = case.devices[0].fact if case.devices else case.snapshot.python.torch.device_count
        yield Finding(
            cause=CAUSE,
            severity="blocker",
            says=f"{per_node} GPUs are asked for on one node and {count} {'is' if count == 1 else 'are'} visible.",
            evidence=quotes(case.quote("GPU", fact)),
            remedy=REMEDY,
            confidence="likely",
        )


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
