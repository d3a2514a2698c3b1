"""How far a measured start-up may lie from a prediction: intervals that cover nine of ten."""

from __future__ import annotations

import tomllib
from functools import cache

from envcheck.resources import folder


@cache
def half_widths() -> dict[str, float]:
    """Relative half-widths by situation, from `requirements_matrix/memory_intervals.toml`."""
    text = (folder("requirements_matrix") / "memory_intervals.toml").read_text(encoding="utf-8")
    table: dict[str, float] = tomllib.loads(text)["half_width"]
    return table


def interval(value: float, situation: str) -> tuple[float, float]:
    """The interval around `value` in a situation the table names."""
    half = half_widths()[situation]
    return value * (1 - half), value * (1 + half)
