"""Versions as people print them ("2.5.1+cu124", "0.6.4.post1", "535.216.01"), as tuples that compare."""

from __future__ import annotations

import re
from functools import lru_cache

Version = tuple[int, ...]
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}")


def version(text: str | None) -> Version | None:
    """The release part of a version as numbers; None where there is none ("dev", "N/A")."""
    return _numbers(text) if text else None


@lru_cache(maxsize=4096)
def _numbers(text: str) -> Version | None:
    match = _NUMBER.match(text.strip().lstrip("vV"))
    return tuple(int(part) for part in match.group().split(".")) if match else None


def dotted(numbers: Version) -> str:
    """A version tuple as people write it."""
    return ".".join(map(str, numbers))
