"""Another package is older or newer than the backend expects."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge import versions
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import installed, unreleased
from envcheck.judge.rules._pins import TORCH_FAMILY, BrokenPin, broken_pins
from envcheck.judge.versions import dotted, version
from envcheck.schema.paste import compiled
from envcheck.schema.pins import Incompatible
from envcheck.schema.verdict import Finding, Quote, Severity

CAUSE = "dependency_version_conflict"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then what is installed against the pins of the backend's release."""
    yield from spoken(case, CAUSE)
    for pin in broken_pins(case):
        if pin.owner not in TORCH_FAMILY or pin.name != "torch":
            yield _broken(case, pin)
    yield from _incompatible(case)
    yield from _loose_bound(case)


def _broken(case: Case, pin: BrokenPin) -> Finding:
    says = f"{pin.owner} {pin.have} asks for {pin.name} {pin.expected}; installed is {pin.there}."
    return finding(CAUSE, "warning", says, _quote(case, pin.owner), _quote(case, pin.name), confidence="likely")


def _incompatible(case: Case) -> Iterator[Finding]:
    """Pairs that are known to break each other."""
    for row in load("incompatible", Incompatible).pair:
        have, beside = installed(case, row.package), installed(case, row.beside)
        concerned = not row.models or compiled(row.models).search(case.model)
        if not have or not beside or not concerned or unreleased(have):
            continue
        both = (
            versions.within(versions.base(have), row.versions),
            # What a release removed is gone in its candidates already.
            versions.within(dotted(version(beside) or ()) or beside, row.beside_versions),
        )
        if all(both):
            says = f"{row.package} {have} does not work with {row.beside} {beside}: {row.says}."
            evidence = (_quote(case, row.package), _quote(case, row.beside))
            yield finding(CAUSE, "warning", says, *evidence, confidence="likely")


def _quote(case: Case, name: str) -> Quote:
    return case.quote("torch", case.torch.fact) if name == "torch" else case.package_quote(name)


_RELEASED_AFTER_OUTLINES = (0, 3, 3)
"""From here on SGLang's releases are newer than outlines 0.1 (upload dates on the Python Package Index): an environment
with an older one was probably made before it."""


def _loose_bound(case: Case) -> Iterator[Finding]:
    """SGLang before 0.4 accepts any newer outlines, and outlines 0.1 removed what it imports; here nobody listed it.

    https://github.com/sgl-project/sglang/issues/1930 , and the metadata in pins.toml.
    """
    have = case.package("sglang")
    if have and have < (0, 4) and case.backend in ("sglang", "") and case.package("outlines") is None:
        severity: Severity = "warning" if have >= _RELEASED_AFTER_OUTLINES else "info"
        says = "This SGLang accepts any newer outlines, and outlines 0.1 dropped modules that it imports."
        yield finding(CAUSE, severity, says, case.package_quote("sglang"), confidence="possible")


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
