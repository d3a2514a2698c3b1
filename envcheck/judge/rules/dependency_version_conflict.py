"""Another package is older or newer than the backend expects."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import broken_pins
from envcheck.schema.verdict import Finding

CAUSE = "dependency_version_conflict"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then what is installed against the pins of the backend's release."""
    yield from spoken(case, CAUSE)
    for pin in broken_pins(case):
        yield finding(
            CAUSE,
            "warning",
            f"{pin.owner} expects {pin.name} {pin.expected}; installed is {pin.have}.",
            case.package_quote(pin.owner.split(" ")[0]),
            case.package_quote(pin.name),
            confidence="likely" if pin.exact else "possible",
        )


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
