"""The weights fit, the KV cache for the context length does not."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._sizes import memory_share
from envcheck.schema.verdict import Finding

CAUSE = "kv_cache_memory_insufficient"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then weights that leave little; what a cache needs exactly is worked out by `fit`."""
    yield from spoken(case, CAUSE)
    yield from _little_left(case)


def _little_left(case: Case) -> Iterator[Finding]:
    """The weights fit and leave so little that the cache for a long context hardly does."""
    share = memory_share(case)
    context = case.option("max_model_len") or case.option("context_length") or ""
    short = context.isdigit() and int(context) <= _SHORT
    if share is not None and _LITTLE < share <= 1 and not short:
        says = f"The weights take about {share:.0%} of the GPU memory used, which leaves little for the KV cache."
        devices = case.nvidia or case.amd
        yield finding(CAUSE, "warning", says, case.quote("GPU", devices[0].fact), confidence="possible")


_LITTLE = 0.8
_SHORT = 4096


RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("gpu_memory_insufficient", "host_resources_insufficient"))
