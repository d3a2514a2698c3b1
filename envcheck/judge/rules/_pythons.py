"""Python ranges of the backends, until the rules read them from the rows of the matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from envcheck.judge.rule import Case
from envcheck.judge.version import Version, dotted


class Span(NamedTuple):
    """Oldest and newest supported minor."""

    low: Version
    high: Version
    certain: bool


# (package, from release, Span): `Requires-Python` and wheel tags on PyPI.
_SPANS: tuple[tuple[str, Version, Span], ...] = (
    ("vllm", (0, 20), Span((3, 10), (3, 14), certain=False)),
    ("vllm", (0, 11), Span((3, 10), (3, 13), certain=False)),
    ("vllm", (0, 10), Span((3, 9), (3, 13), certain=False)),
    ("vllm", (0, 6, 4), Span((3, 9), (3, 12), certain=False)),
    ("vllm", (0, 4), Span((3, 8), (3, 12), certain=False)),
    ("sglang", (0, 5, 20), Span((3, 11), (3, 14), certain=False)),
    ("sglang", (0, 5), Span((3, 10), (3, 13), certain=False)),
    ("sglang", (0, 4, 7), Span((3, 9), (3, 13), certain=False)),
)


def supported(case: Case) -> Iterator[tuple[str, Span]]:
    """What the installed backend supports."""
    for name in ("vllm", "sglang"):
        have = case.package(name)
        for owner, since, span in _SPANS:
            if owner == name and have and have >= since:
                yield f"{name} {dotted(have)}", span
                break
