"""How much memory a model takes and how much the GPUs have that it was to use."""

from __future__ import annotations

from envcheck.judge.device import Device
from envcheck.judge.rule import Case

SHARDING = ("vllm", "sglang", "tensorrt-llm")
"""Engines that put an equal share of all weights on each GPU of a parallel group."""
VLLM_TAKES = 0.9
"""The share of a GPU that vLLM uses unless told: `--gpu-memory-utilization`,
https://docs.vllm.ai/en/latest/configuration/engine_args/"""
_VARIATION = 0.97
"""How far below the calculated weights a fine-tune may lie: a trimmed vocabulary, a dropped head."""


def used_gpus(case: Case) -> tuple[Device, ...]:
    """The GPUs that the parallel sizes use, largest first; empty where they are spread over nodes or not all known."""
    if case.torch.accelerator == "cpu" or case.option("cpu_offload_gb") is not None:
        return ()
    known = [device for device in case.nvidia or case.amd if device.memory_mib and device.kind != "integrated"]
    wanted = _size(case, "tensor_parallel_size") * _size(case, "pipeline_parallel_size")
    several_nodes = (case.option("nnodes") or "1") != "1"
    if known and not case.counted():
        # One card was named, and as many of it are used as the options say.
        known = known[:1] * max(wanted, 1)
    if several_nodes or wanted < 1 or wanted > len(known):
        return ()
    return tuple(sorted(known, key=lambda device: -(device.memory_mib or 0))[:wanted])


def smallest_mib(case: Case) -> int | None:
    """Memory that the smallest GPU used offers to a process; None where it is not known."""
    return min((_offered(device) for device in used_gpus(case)), default=None)


def _offered(device: Device) -> int:
    return int((device.memory_mib or 0) * (1 if device.memory_read else _OFFERED))


_OFFERED = 0.985
"""Of a product's nominal memory, what `torch.cuda.mem_get_info` gives as the total: 31.36 of 32 GiB on an RTX 5090,
23.64 of 24 on an RTX 4090, 79.15 of 80 on an A100 (less on cards whose ECC takes its share), in the reports read."""


def weights_mib(case: Case) -> float | None:
    """The least the weights take on one GPU of a sharding engine; None where the model is not known."""
    sharded = case.backend in SHARDING and case.need is not None and not case.need.scheme.startswith("gguf:")
    return case.need.weights_mib * _VARIATION if case.need and sharded else None


def options_told(case: Case) -> bool:
    """Whether the options are known well enough to say how many GPUs share the model.

    A report without any may leave out the parallel size: what one GPU cannot hold, several may.
    """
    everything = [device for device in case.nvidia or case.amd if device.memory_mib and device.kind != "integrated"]
    return bool(case.intent.flags) or (case.counted() and len(everything) == 1)


def taken_share(case: Case) -> float:
    """The share of each GPU that vLLM was told to take."""
    asked = case.option("gpu_memory_utilization") or ""
    try:
        share = float(asked[:8])
    except ValueError:
        return VLLM_TAKES
    return share if 0 < share <= 1 else VLLM_TAKES


def _size(case: Case, name: str) -> int:
    value = (case.option(name) or "1")[:8]
    return int(value) if value.isdigit() else 0
