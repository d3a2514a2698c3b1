"""How far a measured start-up may lie from a prediction: intervals that cover nine of ten."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Literal

from envcheck.resources import folder

Situation = Literal[
    "llama.cpp one GPU",
    "llama.cpp partial or several GPUs",
    "llama.cpp fork",
    "vllm weights as published",
    "vllm weights quantized",
    "vllm tokens of one kind of layer",
    "vllm tokens of a hybrid",
    "vllm start-up",
    "transformers as published",
    "transformers quantized",
    "transformers with AutoAWQ",
]


@cache
def half_widths() -> dict[str, float]:
    """Relative half-widths by situation, from `requirements_matrix/memory_intervals.toml`."""
    text = (folder("requirements_matrix") / "memory_intervals.toml").read_text(encoding="utf-8")
    table: dict[str, float] = tomllib.loads(text)["half_width"]
    return table


def interval(value: float, situation: Situation, other: float | None = None) -> tuple[float, float]:
    """The interval around `value`; `other`, its value under a setting that is not known, is covered too."""
    half = half_widths()[situation]
    ends = (value, value if other is None else other)
    return min(ends) * (1 - half), max(ends) * (1 + half)
