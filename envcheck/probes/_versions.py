"""Version numbers found in text that programs print."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(?<![\w.])v?(\d{1,6}(?:\.\d{1,8}){1,4}(?:[-+.]?[a-z][\w.]{0,24})?)", re.ASCII)
_DOTTED = re.compile(r"(?<![\w.])(\d{1,6}(?:\.\d{1,8}){1,4})(?![\w])", re.ASCII)


def first_version(printed: str) -> str | None:
    """The first dotted number of a text ("gcc (Debian 12.2.0-14) 12.2.0" gives "12.2.0"), without a suffix."""
    found = _DOTTED.search(printed[:4000]) or _NUMBER.search(printed[:4000])
    return found.group(1) if found else None


def dotted(value: str) -> tuple[int, ...]:
    """Leading integers of a version for ordering: "575.57.08" gives (575, 57, 8)."""
    parts = []
    for part in value.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits or len(digits) > 9:
            break
        parts.append(int(digits))
        if len(digits) != len(part):
            break
    return tuple(parts)
