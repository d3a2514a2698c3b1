"""Modules compiled for NumPy 1 under NumPy 2, or the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import at_least, below, finding
from envcheck.judge.rules._matrix import broken_pins
from envcheck.judge.versions import Version, dotted
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "numpy_abi_mismatch"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then NumPy 2 under a torch that was compiled for NumPy 1."""
    yield from spoken(case, CAUSE)
    yield from _pinned(case)
    numpy = case.package("numpy")
    if at_least(numpy, (2, 0)) and below(case.torch.release, (2, 3)):
        yield finding(
            CAUSE,
            "warning",
            f"torch {case.torch.label} is compiled for NumPy 1 and NumPy {dotted(numpy or ())} is installed.",
            case.package_quote("numpy"),
            case.quote("torch", case.torch.fact),
            confidence="likely",
        )
    yield from _others(case)
    yield from proved(case)


# The first release of each package whose wheels run under NumPy 2. https://github.com/numpy/numpy/issues/26191
_FIRST_FOR_NUMPY_2: dict[str, Version] = {
    "pandas": (2, 2, 2),
    "scipy": (1, 13),
    "scikit-learn": (1, 4, 2),
    "matplotlib": (3, 8, 4),
    "pyarrow": (16,),
    "numba": (0, 60),
    "opencv-python": (4, 10),
    "opencv-python-headless": (4, 10),
    "onnxruntime": (1, 19),
    "onnxruntime-gpu": (1, 19),
    "h5py": (3, 11),
    "contourpy": (1, 2, 1),
}


def _others(case: Case) -> Iterator[Finding]:
    """NumPy 2 beside releases of other compiled packages that were made for NumPy 1."""
    if not at_least(case.package("numpy"), (2, 0)):
        return
    for name, first in _FIRST_FOR_NUMPY_2.items():
        have = case.package(name)
        if below(have, first):
            says = f"{name} {dotted(have or ())} is made for NumPy 1; {dotted(first)} is the first for NumPy 2."
            evidence = (case.package_quote(name), case.package_quote("numpy"))
            yield finding(CAUSE, "warning", says, *evidence, confidence="likely")


def proved(case: Case) -> Iterator[Finding]:
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
            says = f"{pin.owner} asks for numpy {pin.expected}; installed is {pin.have}."
            yield finding(CAUSE, "warning", says, case.package_quote("numpy"), confidence="possible")


RULE = Rule(cause=CAUSE, link="wheel", judge=judge, proved=proved)
