"""Modules compiled for NumPy 1 under NumPy 2, or the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import at_least, below, finding, windows
from envcheck.judge.rules._pins import broken_pins
from envcheck.judge.versions import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.pins import Binaries
from envcheck.schema.verdict import Finding

CAUSE = "numpy_abi_mismatch"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then NumPy 2 beside what was compiled for NumPy 1 or asks for it."""
    yield from spoken(case, CAUSE)
    yield from _pinned(case)
    yield from _compiled(case)
    yield from _modules(case)


def proved(case: Case) -> Iterator[Finding]:
    """Modules that were looked into; where none was, releases that are known to hold such (a row speaks of torch)."""
    found = list(_modules(case))
    yield from found or _compiled(case, but="torch")


def _compiled(case: Case, but: str = "") -> Iterator[Finding]:
    """NumPy 2 beside releases of torch and other compiled packages that were made for NumPy 1."""
    numpy = case.package("numpy")
    if not at_least(numpy, (2, 0)):
        return
    for row in (row for row in load("binaries", Binaries).numpy_2 if row.package != but):
        first = version((windows(case) and row.windows) or row.version)
        have = case.torch.release if row.package == "torch" else case.package(row.package)
        if first and below(have, first):
            label = case.torch.label if row.package == "torch" else dotted(have or ())
            says = f"{row.package} {label} is made for NumPy 1, and NumPy {dotted(numpy or ())} is installed."
            fact = case.quote("torch", case.torch.fact) if row.package == "torch" else case.package_quote(row.package)
            yield finding(CAUSE, "warning", says, case.package_quote("numpy"), fact, confidence="likely")


def _modules(case: Case) -> Iterator[Finding]:
    """Compiled modules that import NumPy 1's C interface only, where RECORD was compared with the disk."""
    for damage in value_of(case.snapshot.python.damage) or ():
        if damage.kind == "built_for_numpy_1":
            yield finding(
                CAUSE,
                "blocker",
                f"{damage.package}: {damage.count} compiled modules ({damage.example}) were built for NumPy 1 and "
                "stop under the installed NumPy 2.",
                case.package_quote("numpy"),
                confidence="certain",
            )


def _pinned(case: Case) -> Iterator[Finding]:
    """The installed backend asks for NumPy 1 and NumPy 2 is there."""
    for pin in broken_pins(case):
        if pin.name == "numpy":
            says = f"{pin.owner} {pin.have} asks for numpy {pin.expected}; installed is {pin.there}."
            yield finding(CAUSE, "warning", says, case.package_quote("numpy"), confidence="possible")


RULE = Rule(cause=CAUSE, link="wheel", judge=judge, proved=proved)
