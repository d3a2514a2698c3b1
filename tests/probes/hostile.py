"""Cut, garbled and hostile evidence: what a parser must survive. The tests and the fuzzer in `benchmarks` share it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

CASES = Path(__file__).parent.parent / "cases" / "probes"

# Values chosen to break readers: numbers that are none, sizes beyond any machine, lone surrogates, deep nesting.
POISON: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 1e308, -0.0, float("nan"), float("inf"), float("-inf"),
    "", " ", "0", "-1", "9" * 400, "1e999", "nan", "\ud800", "\x00", "\u202e", "é" * 50, "a" * 5000, "../../etc/passwd",
    "%s%n{0}{x}", "<script>alert(1)</script>", "\x1b[2J", "1.2.3.4.5.6", "0x", "[N/A]", "[" * 50, [], {}, [[[[[[]]]]]],
    [None], [{}], {"": None}, {"value": {"value": {}}}, {"0": {"1": [2, "3"]}}, [1, "a", None, [], {}], ["x"] * 300,
)  # fmt: skip


@cache
def seeds() -> dict[str, list[Any]]:
    """Good evidence by section: what mutations start from."""
    found: dict[str, list[Any]] = {}
    for path in sorted(CASES.glob("*/*.json")):
        found.setdefault(path.parent.name, []).append(json.loads(path.read_text("utf-8"))["evidence"])
    return found


def damaged(value: Any, random: Random, depth: int = 0) -> Any:
    """A copy of `value` in which parts are replaced, cut, doubled or left out."""
    chance = random.random()
    if chance < 0.12:
        return random.choice(POISON)
    if isinstance(value, dict):
        items = [(key, damaged(part, random, depth + 1)) for key, part in value.items() if random.random() > 0.06]
        if random.random() < 0.05:
            items.append((random.choice(list(value) or ["x"]), random.choice(POISON)))
        return dict(items)
    if isinstance(value, list):
        parts = [damaged(part, random, depth + 1) for part in value if random.random() > 0.06]
        return parts * 2 if random.random() < 0.05 else parts
    if isinstance(value, str) and chance < 0.35:
        place = random.randrange(len(value) + 1)
        return random.choice(
            (value[:place], value[place:], value[:place] + chr(random.randrange(0x300)) + value[place:])
        )
    if isinstance(value, int) and chance < 0.35:
        return random.choice((-value, value * 10**9, value + 0.5, str(value), value << 40 if abs(value) < 2**40 else 0))
    return value
