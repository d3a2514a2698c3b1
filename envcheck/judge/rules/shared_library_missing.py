"""The dynamic loader cannot find a library, an ICD or a backend plug-in."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.schema.verdict import Finding

CAUSE = "shared_library_missing"


def judge(case: Case) -> Iterator[Finding]:
    """Signs only: which libraries a program loads is known when it fails."""
    yield from spoken(case, CAUSE)


RULE = Rule(cause=CAUSE, link="runtime", judge=judge)
