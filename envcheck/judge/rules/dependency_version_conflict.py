"""Another package is older or newer than the backend expects."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._pins import TORCH_FAMILY, BrokenPin, broken_pins
from envcheck.schema.verdict import Finding, Quote, Severity

CAUSE = "dependency_version_conflict"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then what is installed against the pins of the backend's release."""
    yield from spoken(case, CAUSE)
    for pin in broken_pins(case):
        if pin.owner not in TORCH_FAMILY or pin.name != "torch":
            yield _broken(case, pin)
    yield from _loose_bound(case)


def _broken(case: Case, pin: BrokenPin) -> Finding:
    says = f"{pin.owner} {pin.have} asks for {pin.name} {pin.expected}; installed is {pin.there}."
    return finding(CAUSE, "warning", says, _quote(case, pin.owner), _quote(case, pin.name), confidence="likely")


def _quote(case: Case, name: str) -> Quote:
    return case.quote("torch", case.torch.fact) if name == "torch" else case.package_quote(name)


_RELEASED_AFTER_OUTLINES = (0, 3, 3)
"""From here on SGLang's releases are newer than outlines 0.1 (upload dates on the Python Package Index): an environment
with an older one was probably made before it."""


def _loose_bound(case: Case) -> Iterator[Finding]:
    """SGLang before 0.4 asks for outlines without an upper bound, and outlines 0.1 removed what it imports.

    https://github.com/sgl-project/sglang/issues/1930 , and the metadata in pins.toml.
    """
    have, outlines = case.package("sglang"), case.package("outlines")
    if have and have < (0, 4) and case.backend in ("sglang", "") and (outlines is None or outlines >= (0, 1)):
        says = "This SGLang accepts any newer outlines, and outlines 0.1 dropped modules that it imports."
        severity: Severity = "warning" if outlines or have >= _RELEASED_AFTER_OUTLINES else "info"
        yield finding(CAUSE, severity, says, case.package_quote("sglang"), confidence="possible")


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
