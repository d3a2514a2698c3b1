"""No wheel for, or code that is not valid on, this Python."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge import versions
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import installed, unreleased
from envcheck.judge.rules._pins import neighbours, pinned_packages
from envcheck.judge.rules._wheels import wheel_files
from envcheck.judge.tables import torch_release
from envcheck.judge.versions import version
from envcheck.schema.facts import value_of
from envcheck.schema.requirement import BackendMatrix
from envcheck.schema.verdict import Finding, Quote

CAUSE = "python_version_unsupported"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the interpreter against what the installed backend supports."""
    yield from spoken(case, CAUSE)
    fact = case.snapshot.python.version
    python = value_of(fact)
    have_python = version(python)
    for wheel in wheel_files(case):
        if have_python and not wheel.runs_on(have_python):
            made_for = ".".join(wheel.pythons)
            says = f"The wheel {wheel.name} {wheel.version} is made for {made_for}; here it is Python {python}."
            yield finding(CAUSE, "warning", says, quoted(wheel.line), case.quote("Python", fact), confidence="likely")
    torch = case.torch.label
    wheels = torch_release(torch) if torch and not unreleased(torch) else None
    if wheels and python and ".".join(python.split(".")[:2]) not in {minor.rstrip("t") for minor in wheels.python}:
        says = f"torch {torch} has wheels for Python {', '.join(wheels.python)}; here it is {python}."
        yield finding(CAUSE, "warning", says, case.quote("Python", fact), case.quote("torch", case.torch.fact))
    yield from _installed_for_others(case, python)
    yield from _wanted(case, python)


def _installed_for_others(case: Case, python: str | None) -> Iterator[Finding]:
    """Packages whose metadata excludes this Python: installed all the same, so from source or by force, which is a
    reason for trouble and no proof of it."""
    for name in pinned_packages() if python else ():
        have = installed(case, name)
        asked = [row.python for row in neighbours(name, have)] if have and not unreleased(have) else []
        if python and asked and all(text and versions.within(versions.base(python), text) is False for text in asked):
            says = f"{name} {have} supports Python {asked[0]}; here it is {python}."
            evidence = (case.quote("Python", case.snapshot.python.version), _quote(case, name))
            yield finding(CAUSE, "warning", says, *evidence, confidence="likely")


def _quote(case: Case, name: str) -> Quote:
    return case.quote("torch", case.torch.fact) if name == "torch" else case.package_quote(name)


_SERVED_BY_SOME_RELEASE = (3, 13)
"""Up to here some release of each backend has wheels, so only its own row can say no."""


def _wanted(case: Case, python: str | None) -> Iterator[Finding]:
    """A backend that is to be installed, and an interpreter that not even its newest release supports."""
    if not python or case.backend not in ("vllm", "sglang") or installed(case, case.backend):
        return
    rows = load(case.backend, BackendMatrix).release
    newer = (version(python) or ()) > _SERVED_BY_SOME_RELEASE
    if newer and rows and rows[0].python and versions.within(versions.base(python), rows[0].python) is False:
        says = f"{case.backend} supports Python {rows[0].python}; here it is {python}."
        yield finding(CAUSE, "warning", says, case.quote("Python", case.snapshot.python.version), confidence="likely")


RULE = Rule(cause=CAUSE, link="runtime", judge=judge, explains=("dependency_missing", "dependency_version_conflict"))
