"""What releases of the backends pin, until the rules read it from the rows of the matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from envcheck.judge.rule import Case
from envcheck.judge.version import Version, dotted
from envcheck.schema.facts import value_of


class BrokenPin(NamedTuple):
    """An installed version outside what a release asks for."""

    owner: str
    name: str
    expected: str
    have: str
    certain: bool


class _Pin(NamedTuple):
    owner: str
    since: Version
    until: Version
    name: str
    low: Version
    high: Version | None


# pyproject.toml of each release: https://github.com/sgl-project/sglang/blob/main/python/pyproject.toml (history)
_PINS = (
    _Pin("sglang", (0, 2, 0), (0, 2, 8), "vllm", (0, 5, 3), None),
    _Pin("sglang", (0, 2, 8), (0, 2, 12), "vllm", (0, 5, 3), (0, 5, 5)),
    _Pin("sglang", (0, 2, 12), (0, 2, 14), "vllm", (0, 5, 4), None),
    _Pin("sglang", (0, 3, 0), (0, 3, 4), "vllm", (0, 5, 5), None),
)


def broken_pins(case: Case) -> Iterator[BrokenPin]:
    """Every pin of an installed backend that an installed package does not meet."""
    for pin in _PINS:
        owner, have = case.package(pin.owner), case.package(pin.name)
        if owner and have and pin.since <= owner < pin.until and (have < pin.low or (pin.high and have >= pin.high)):
            expected = f">={dotted(pin.low)}" + (f",<{dotted(pin.high)}" if pin.high else "")
            installed = value_of(case.snapshot.python.package(pin.name)) or ""
            yield BrokenPin(f"{pin.owner} {dotted(owner)}", pin.name, expected, installed, certain=False)
