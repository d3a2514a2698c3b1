"""The weights fit, the KV cache for the context length does not."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.schema.verdict import Finding

CAUSE = "kv_cache_memory_insufficient"


def judge(case: Case) -> Iterator[Finding]:
    """Signs; what a cache would need is worked out by `fit`, not guessed here."""
    yield from spoken(case, CAUSE)


RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("gpu_memory_insufficient", "host_resources_insufficient"))
