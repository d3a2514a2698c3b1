"""RAM, swap or disk are too small."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.schema.verdict import Finding

CAUSE = "host_resources_insufficient"


def judge(case: Case) -> Iterator[Finding]:
    """Signs; whether a model fits in RAM is worked out by `fit`."""
    yield from spoken(case, CAUSE)


RULE = Rule(cause=CAUSE, link="model", judge=judge)
