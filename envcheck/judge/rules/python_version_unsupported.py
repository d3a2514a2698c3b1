"""No wheel for, or code that is not valid on, this Python."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._pythons import supported
from envcheck.judge.version import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "python_version_unsupported"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the interpreter against what the backend and torch support."""
    yield from spoken(case, CAUSE)
    fact = case.snapshot.python.version
    python = version(value_of(fact))
    for name, span in supported(case):
        if python and not span.low <= python[:2] <= span.high:
            yield finding(
                CAUSE,
                "blocker" if span.certain else "warning",
                f"{name} supports Python {dotted(span.low)} to {dotted(span.high)}; here it is {dotted(python)}.",
                case.quote("Python", fact),
                case.package_quote(name.split(" ")[0]) if case.package(name.split(" ")[0]) else None,
                confidence="likely" if span.certain else "possible",
            )


RULE = Rule(cause=CAUSE, link="runtime", judge=judge, explains=("dependency_missing", "dependency_version_conflict"))
