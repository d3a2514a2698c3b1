"""Weights and work space exceed GPU memory, or one buffer exceeds the driver's allocation limit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._buffers import overfull
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._sizes import SHARDING, options_told, smallest_mib, used_gpus, weights_mib
from envcheck.schema.need import ModelNeed
from envcheck.schema.verdict import Finding

CAUSE = "gpu_memory_insufficient"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the weights of the model that is named against the memory of the GPUs it was to use."""
    yield from spoken(case, CAUSE)
    weights, memory = weights_mib(case), smallest_mib(case)
    if weights and memory and weights > memory:
        says = (
            f"The weights take {weights / 1024:.0f} GiB on each GPU in {_format(case.need)}; it has "
            f"{memory / 1024:.0f} GiB."
        )
        together = sum(device.memory_mib or 0 for device in case.nvidia or case.amd)
        certain = options_told(case) or (case.counted() and weights > together)
        yield finding(CAUSE, "blocker" if certain else "warning", says, case.quote("GPU", used_gpus(case)[0].fact))
    yield from _whole(case)
    yield from _buffers(case)
    yield from _partly_offloaded(case)


def _format(need: ModelNeed | None) -> str:
    return need.scheme.removeprefix("gguf:") if need else ""


def _whole(case: Case) -> Iterator[Finding]:
    """Engines that may put the rest elsewhere: the model is larger than all GPUs together, so it will not run on them
    alone."""
    memory = sum(device.memory_mib or 0 for device in case.nvidia + case.amd if device.kind != "integrated")
    if case.need is None or case.backend in SHARDING or not memory or case.need.weights_mib <= memory:
        return
    says = (
        f"The weights take {case.need.weights_mib / 1024:.0f} GiB in {_format(case.need)}; the GPUs have "
        f"{memory / 1024:.0f} GiB together."
    )
    device = (case.nvidia or case.amd)[0]
    yield finding(CAUSE, "warning", says, case.quote("GPU", device.fact), confidence="possible")


def _buffers(case: Case) -> Iterator[Finding]:
    """What llama.cpp printed that it puts on a device, against the memory of that device."""
    for full in overfull(case):
        says = (
            f"{full.wanted_mib / 1024:.1f} GiB are to be put on {full.name}, which has {full.has_mib / 1024:.1f} GiB."
        )
        yield finding(CAUSE, "blocker", says, *map(quoted, full.lines[:3]), confidence="likely")


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

RULE = Rule(cause=CAUSE, link="model", judge=judge)
