"""Typed looks into evidence, and facts made of what several sources said.

Evidence comes from files that may be cut, garbled or hostile: every function here takes any JSON value, gives the
wanted type or None, and never raises. Numbers are bounded, because a snapshot must be writable as JSON again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from envcheck.schema.facts import Absent, Known, Observation, Unknown

T = TypeVar("T")

TEXT_LIMIT = 400
"""Longest text taken from evidence; facts are names, versions and short lists."""
LARGEST = 2**62
"""Larger numbers are not sizes, counts or clocks of any machine, and JSON readers lose them."""
MIB = 1024 * 1024


def text(value: object, limit: int = TEXT_LIMIT) -> str | None:
    """A stripped, printable, non-empty text of at most `limit` characters."""
    if not isinstance(value, str):
        return None
    kept = value[: limit * 4]
    if not kept.isprintable():  # nearly all are, and then nothing needs replacing
        kept = (
            "".join(c if c.isprintable() else " " for c in kept).encode("utf-8", "replace").decode("utf-8", "replace")
        )
    return kept.strip()[:limit] or None


def whole(value: object) -> int | None:
    """An integer: a number without a fraction, or its decimal notation ("24564", " 42 ")."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        stripped = value.strip()
        digits = stripped.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return None
        value = int(stripped)
    if isinstance(value, float):
        if value != value or abs(value) > LARGEST or value != int(value):  # NaN
            return None
        value = int(value)
    return value if isinstance(value, int) and abs(value) <= LARGEST else None


def real(value: object) -> float | None:
    """A finite number, or its decimal notation."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and len(value) < 40:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and value == value and abs(value) <= LARGEST:
        return float(value)
    return None


def flag(value: object) -> bool | None:
    """A JSON boolean and nothing else."""
    return value if isinstance(value, bool) else None


def table(value: object) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    return {k: v for k, v in value.items() if isinstance(k, str)} if isinstance(value, dict) else {}


def rows(value: object) -> list[Any]:
    """A JSON list; empty for anything else."""
    return list(value) if isinstance(value, list | tuple) else []


def tables(value: object) -> list[dict[str, Any]]:
    """The JSON objects in a list."""
    return [table(row) for row in rows(value) if isinstance(row, dict)]


def texts(value: object) -> list[str]:
    """The texts in a list."""
    return [kept for row in rows(value) if (kept := text(row)) is not None]


def pick(said: Iterable[tuple[str, T | None]], why: str) -> Known[T] | Unknown:
    """The first source that gave a value wins; later sources that gave another one are kept beside it.

    `said` is (source, value) in order of trust; a value of None means that the source gave none. Unknown, with `why`,
    where nobody gave one.
    """
    answers = [(source, value) for source, value in said if value is not None]
    if not answers:
        return Unknown(why=why)
    source, value = answers[0]
    also = tuple(Observation(source=s, value=_shown(v)) for s, v in answers[1:] if v != value)
    return Known(value=value, source=source, also=also)


def present(source: str, value: T | None, why: str = "") -> Known[T] | Absent | Unknown:
    """A value, or absent when its source looked and found none; with `why`, unknown instead of absent."""
    if value is not None:
        return Known(value=value, source=source)
    return Unknown(why=why) if why else Absent(source=source)


def _shown(value: object) -> str:
    return text(str(value)) or ""


def mib(size_bytes: int | None) -> int | None:
    """Whole mebibytes of a byte count that may be missing or nonsense."""
    return None if size_bytes is None or size_bytes < 0 else size_bytes // MIB
