"""How often to repeat a measurement so that its mean is known well enough."""

from __future__ import annotations

from math import sqrt

ASSUMED_SPREAD = 0.05
"""Relative standard deviation from run to run that the plan assumes until the first repeats show the real one."""

WANTED = 0.05
"""Relative half-width of the 95 % confidence interval that the plan aims at."""

_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom
(https://www.itl.nist.gov/div898/handbook/eda/section3/eda3672.htm)."""


def half_width(repeats: int, spread: float = ASSUMED_SPREAD) -> float:
    """Relative half-width of the 95 % confidence interval of a mean of `repeats` values (at least 2)."""
    return _T95[min(repeats - 1, len(_T95)) - 1] * spread / sqrt(repeats)


def repeats_for(wanted: float = WANTED, spread: float = ASSUMED_SPREAD) -> int:
    """The fewest repeats whose interval is no wider than `wanted`; 31 where even 30 are too few."""
    return next((n for n in range(2, 31) if half_width(n, spread) <= wanted), 31)
