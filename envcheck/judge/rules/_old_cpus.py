"""Instruction sets by the name of an x86 CPU, where nobody printed its flags."""

from __future__ import annotations

from envcheck.judge.rows import load
from envcheck.schema.gaps import OldCpus
from envcheck.schema.paste import compiled


def lacks(name: str) -> str | None:
    """The oldest instruction set that the CPU called `name` does not have: "AVX", "AVX2", or None."""
    return next((row.lacks for row in load("cpu_features", OldCpus).cpu if compiled(row.match).search(name)), None)
