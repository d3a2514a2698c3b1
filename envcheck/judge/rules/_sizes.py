"""How large a model is, from its name alone."""

from __future__ import annotations

import re

from envcheck.judge.rule import Case
from envcheck.judge.rules._models import is_fp8, method

_EXPERTS = re.compile(r"(\d{1,2})x(\d{1,3}(?:\.\d{1,2})?)b\b", re.IGNORECASE)
_BILLIONS = re.compile(r"(?<![\w.])(\d{1,4}(?:\.\d{1,2})?)b\b", re.IGNORECASE)
# Totals of families whose names do not carry them: model cards on https://huggingface.co
_NAMED = (
    ("deepseek-v3", 671.0),
    ("deepseek-r1-distill", None),
    ("deepseek-r1", 671.0),
    ("deepseek-v2-lite", 15.7),
    ("deepseek-coder-v2-lite", 15.7),
    ("deepseek-v2", 236.0),
    ("deepseek-coder-v2", 236.0),
    ("kimi-k2", 1000.0),
    ("command-r-plus", 104.0),
    ("command-r", 35.0),
    ("mixtral-8x7b", 46.7),
    ("mixtral-8x22b", 141.0),
    ("dbrx", 132.0),
    ("grok-1", 314.0),
)


def parameters_b(model: str) -> float | None:
    """Parameters in billions as the name states them."""
    for name, size in _NAMED:
        if name in model and size is not None:
            return size
        if name in model:
            break
    experts = _EXPERTS.search(model)
    if experts:
        return int(experts.group(1)) * float(experts.group(2)) * 0.85
    found = [float(text) for text in _BILLIONS.findall(model)]
    return max(found) if found else None


def weights_mib(case: Case) -> int | None:
    """Weights in MiB at the precision that name or intent state: 2 bytes a parameter unless quantized."""
    billions = parameters_b(case.model)
    if billions is None:
        return None
    kind = method(case)
    native_fp8 = (
        any(name in case.model for name in ("deepseek-v3", "deepseek-r1", "kimi-k2")) and "distill" not in case.model
    )
    per_parameter = (
        0.6
        if kind in ("awq", "gptq", "awq_marlin", "gptq_marlin", "mxfp4", "nvfp4", "bitsandbytes", "squeezellm")
        else 1.0
        if is_fp8(case) or kind in ("int8", "fp8") or native_fp8
        else 2.0
    )
    if kind in ("gguf", "exl2", "hqq", "torchao"):
        return None
    return int(billions * 1e9 * per_parameter / 2**20)


def memory_share(case: Case) -> float | None:
    """Weights over the memory of the GPUs used, for the engines that keep all weights on them; None where unknown."""
    weights, used = weights_mib(case), used_mib(case)
    return weights / used if weights and used else None


def used_mib(case: Case) -> int | None:
    """Memory of the GPUs that the parallel sizes use; None where it is not known or spread over several nodes."""
    memory = sorted((d.memory_mib for d in case.nvidia or case.amd if d.memory_mib), reverse=True)
    size, stages = case.option("tensor_parallel_size") or "1", case.option("pipeline_parallel_size") or "1"
    if case.backend not in ("vllm", "sglang", "tensorrt-llm") or not (size.isdigit() and stages.isdigit()):
        return None
    wanted = max(1, int(size) * int(stages))
    several_nodes = (case.option("nnodes") or "1") != "1" or wanted > len(memory)
    offload = case.option("cpu_offload_gb") is not None
    return None if several_nodes or offload or not memory else sum(memory[:wanted])
