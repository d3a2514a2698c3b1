"""The model would fit an empty GPU; another process holds the memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, quoted, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "gpu_memory_in_use"
REMEDY = Remedy(says="End the process that holds the memory, choose another GPU, or lower the share that the backend takes.", commands=("nvidia-smi", "vllm serve MODEL --gpu-memory-utilization 0.5"), risk="risky")
SIGNS = (
    Sign("free memory on device", "Too little GPU memory was free at the start.", r"less than desired gpu memory utilization|is less than"),
    Sign("less than desired gpu memory utilization", "Too little GPU memory was free at the start."),
    Sign("error in memory profiling", "Another process changed the GPU's free memory while vLLM measured it.", confidence="likely"),
    Sign("this happens when other processes sharing the same container", "Another process changed the GPU's free memory while vLLM measured it."),
    Sign("initial free memory", "Another process changed the GPU's free memory while vLLM measured it.", r"current free memory|decreas|increas", confidence="likely"),
    Sign("memory capacity is unbalanced", "Another process holds memory of one of the GPUs."),
    Sign("some gpus may be occupied by other processes", "Another process holds memory of one of the GPUs."),
    Sign("gpu memory usage is too high", "Another process holds GPU memory.", confidence="likely"),
    Sign("already in use", "Another process holds the GPU.", r"gpu|device|cuda", confidence="likely", unless=("port", "address")),
    Sign("all cuda-capable devices are busy or unavailable", "Another process holds the GPU (exclusive mode)."),
    Sign("cudaerrordevicesunavailable", "Another process holds the GPU (exclusive mode)."),
    Sign("cuda_error_device_unavailable", "Another process holds the GPU (exclusive mode)."),
    Sign("process ", "Other processes hold GPU memory.", r"process \d+ has \d+\.?\d* [GM]iB memory in use", severity="warning", confidence="possible"),
    Sign("gpu vram usage didn't recover within timeout", "GPU memory of an earlier process was not given back.", severity="warning", confidence="possible"),
)  # fmt: skip
_FREE = re.compile(r"of which (\d+(?:\.\d+)?) ([GM])iB is free", re.IGNORECASE)
_TOTAL = re.compile(r"total capacity of (\d+(?:\.\d+)?) ([GM])iB|(\d+(?:\.\d+)?) ([GM])iB total capacity", re.IGNORECASE)
_OWN = re.compile(r"this process has (\d+(?:\.\d+)?) ([GM])iB memory in use", re.IGNORECASE)


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then what torch's message says about its own share, then devices that are nearly full before the start."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    for line in case.paste.having("is free"):
        free, total, own = _FREE.search(line.text), _TOTAL.search(line.text), _OWN.search(line.text)
        if free and total and own:
            others = _gib(total) - _gib(free) - _gib(own)
            if others > _gib(total) * _LARGE:
                yield Finding(cause=CAUSE, severity="blocker", says=f"Other processes hold {others:.1f} GiB of the GPU.", evidence=(quoted(line),), remedy=REMEDY, confidence="likely")
                break
    yield from _full(case)


_LARGE = 0.3
"""The share of a GPU that others must hold before it, rather than the model's size, is taken for the cause."""


def _gib(match: re.Match[str]) -> float:
    value, unit = [group for group in match.groups() if group]
    return float(value) / (1 if unit.upper() == "G" else 1024)


def _full(case: Case) -> Iterator[Finding]:
    """A GPU whose memory is mostly taken although nothing of ours is said to run yet."""
    taken = [d for d in case.devices if d.memory_mib and d.free_mib is not None and d.free_mib < d.memory_mib * (1 - _LARGE)]
    if not taken or case.backend not in ("vllm", "sglang", "tensorrt-llm", "transformers", ""):
        return
    worst = min(taken, key=lambda d: (d.free_mib or 0) / (d.memory_mib or 1))
    yield Finding(
        cause=CAUSE,
        severity="warning",
        says=f"{worst.name} (GPU {worst.index}) has {worst.free_mib} of {worst.memory_mib} MiB free.",
        evidence=quotes(case.quote("GPU", worst.fact)),
        remedy=REMEDY,
        confidence="possible",
    )


RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("gpu_memory_insufficient", "kv_cache_memory_insufficient"))
