"""Modules compiled for NumPy 1 under NumPy 2, or the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import at_least, below, quotes
from envcheck.judge.version import dotted
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "numpy_abi_mismatch"
REMEDY = Remedy(says="Install NumPy 1.26 beside packages made for NumPy 1, or newer builds of those packages.", commands=("uv pip install 'numpy<2'",))
SIGNS = (
    Sign("compiled using numpy 1.x", "A module made for NumPy 1 runs under NumPy 2."),
    Sign("numpy.dtype size changed", "A module was compiled against another NumPy."),
    Sign("numpy.ndarray size changed", "A module was compiled against another NumPy."),
    Sign("module compiled against api version", "A module was compiled against another NumPy."),
    Sign("module compiled against abi version", "A module was compiled against another NumPy."),
    Sign("_array_api not found", "A module made for NumPy 1 runs under NumPy 2."),
    Sign("numpy.core.multiarray failed to import", "A module was compiled against another NumPy."),
    Sign("failed to initialize numpy", "torch was compiled against another NumPy."),
    Sign("numpy is not available", "torch cannot use the installed NumPy.", r"(?:runtimeerror:? )?numpy is not available", confidence="likely"),
    Sign("no module named 'numpy._core", "Something was written by NumPy 2 and is read under NumPy 1."),
    Sign("no module named 'numpy.core._multiarray_umath'", "A module was compiled against another NumPy.", confidence="likely"),
    Sign("was removed in the numpy 2.0 release", "A package written for NumPy 1 runs under NumPy 2."),
    Sign("module 'numpy' has no attribute", "A package uses a name that this NumPy does not have.", r"'numpy' has no attribute '(?:float|int|bool|object|complex|str|long|float_|product|unicode_|infty|NaN|Inf|in1d|dtypes|_ARRAY_API)'", severity="blocker", confidence="likely"),
    Sign("a module that was compiled using numpy", "A module was compiled against another NumPy."),
    Sign("numpy 2", "A package does not work under NumPy 2.", r"(?:not compatible|incompatible|does not support).{0,40}numpy 2|numpy 2\S* .{0,40}(?:incompatible|not supported)", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then NumPy 2 under a torch that was compiled for NumPy 1."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    numpy = case.package("numpy")
    if at_least(numpy, (2, 0)) and below(case.torch.release, (2, 3)):
        yield Finding(cause=CAUSE, severity="warning", says=f"torch {case.torch.label} is compiled for NumPy 1 and NumPy {dotted(numpy or ())} is installed.", evidence=quotes(case.package_quote("numpy"), case.quote("torch", case.torch.fact)), remedy=REMEDY, confidence="likely")


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
