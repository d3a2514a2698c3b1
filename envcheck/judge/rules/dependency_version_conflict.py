"""Another package is older or newer than the backend expects."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import broken_pins
from envcheck.schema.verdict import Finding, Quote

CAUSE = "dependency_version_conflict"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then what is installed against the pins of the backend's release."""
    yield from spoken(case, CAUSE)
    for pin in broken_pins(case):
        says = f"{pin.owner} expects {pin.name} {pin.expected}; installed is {pin.have}."
        owner = case.package_quote(pin.owner.split(" ")[0])
        yield finding(CAUSE, "warning", says, owner, _quote(case, pin.name), confidence="likely")
    yield from _loose_bound(case)


def _quote(case: Case, name: str) -> Quote:
    return case.quote("torch", case.torch.fact) if name == "torch" else case.package_quote(name)


def _loose_bound(case: Case) -> Iterator[Finding]:
    """SGLang before 0.4 asks for outlines without an upper bound, and outlines 0.1 removed what it imports.

    https://github.com/sgl-project/sglang/issues/1930 , and the metadata in older_releases.toml.
    """
    have, outlines = case.package("sglang"), case.package("outlines")
    if have and have < (0, 4) and case.backend in ("sglang", "") and (outlines is None or outlines >= (0, 1)):
        says = "This SGLang accepts any newer outlines, and outlines 0.1 dropped modules that it imports."
        yield finding(CAUSE, "warning", says, case.package_quote("sglang"), confidence="possible")


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
