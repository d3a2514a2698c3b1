"""The model would fit an empty GPU; another process holds the memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._sizes import used_gpus, weights_mib
from envcheck.schema.verdict import Finding

CAUSE = "gpu_memory_in_use"
_FREE = re.compile(r"of which (\d+(?:\.\d+)?) ([GM])iB is free", re.IGNORECASE)
_TOTAL = re.compile(
    r"total capacity of (\d+(?:\.\d+)?) ([GM])iB|(\d+(?:\.\d+)?) ([GM])iB total capacity", re.IGNORECASE
)
_OWN = re.compile(r"this process has (\d+(?:\.\d+)?) ([GM])iB memory in use", re.IGNORECASE)


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then what torch's message says about its own share, then devices that are nearly full before the start."""
    yield from spoken(case, CAUSE)
    for line in case.paste.having("is free"):
        free, total, own = _FREE.search(line.text), _TOTAL.search(line.text), _OWN.search(line.text)
        if free and total and own:
            others = _gib(total) - _gib(free) - _gib(own)
            if others > _gib(total) * _LARGE:
                yield finding(
                    CAUSE,
                    "blocker",
                    f"Other processes hold {others:.1f} GiB of the GPU.",
                    quoted(line),
                    confidence="likely",
                )
                break
    yield from _crowded(case)
    yield from _full(case)


_LARGE = 0.3
"""The share of a GPU that others must hold before it, rather than the model's size, is taken for the cause."""


def _wanted(case: Case) -> float:
    """The share of a GPU that must be free: vLLM refuses to start where less is free than it was told to take.

    https://docs.vllm.ai/en/latest/configuration/engine_args/ (--gpu-memory-utilization, 0.9 unless set)
    """
    if case.backend != "vllm":
        return 1 - _LARGE
    asked = case.option("gpu_memory_utilization") or ""
    return float(asked) if re.fullmatch(r"0?\.\d{1,4}", asked) else _VLLM_TAKES


_VLLM_TAKES = 0.9


def _gib(match: re.Match[str]) -> float:
    value, unit = [group for group in match.groups() if group]
    return float(value) / (1 if unit.upper() == "G" else 1024)


def _crowded(case: Case) -> Iterator[Finding]:
    """The weights fit the card and not what others left of it."""
    weights, used = weights_mib(case), used_gpus(case)
    known = [device for device in used if device.free_mib is not None and device.memory_mib]
    if weights is None or len(known) < len(used):
        return
    for device in known:
        if (device.free_mib or 0) < weights <= (device.memory_mib or 0):
            says = (
                f"The weights take {weights / 1024:.1f} GiB; {device.name} (GPU {device.number}) has "
                f"{(device.free_mib or 0) / 1024:.1f} of {(device.memory_mib or 0) / 1024:.1f} GiB free."
            )
            yield finding(CAUSE, "warning", says, case.quote("GPU", device.fact), confidence="likely")
            return


def _full(case: Case) -> Iterator[Finding]:
    """A GPU whose memory is mostly taken although nothing of ours is said to run yet."""
    wanted = _wanted(case)
    taken = [d for d in case.devices if d.memory_mib and d.free_mib is not None and d.free_mib < d.memory_mib * wanted]
    if not taken or case.backend not in ("vllm", "sglang", "tensorrt-llm", "transformers", ""):
        return
    worst = min(taken, key=lambda d: (d.free_mib or 0) / (d.memory_mib or 1))
    yield finding(
        CAUSE,
        "warning",
        f"{worst.name} (GPU {worst.number}) has {worst.free_mib} of {worst.memory_mib} MiB free.",
        case.quote("GPU", worst.fact),
        confidence="possible",
    )


RULE = Rule(
    cause=CAUSE, link="model", judge=judge, explains=("gpu_memory_insufficient", "kv_cache_memory_insufficient")
)
