"""Three-valued facts: known, absent (looked, and it is not there), unknown (could not tell, and why).

A value that could not be read must never look like zero, "no" or "fine", so every reading keeps the difference and
every consumer has to say what it does with `Absent` and `Unknown`. `is_known` narrows the type.
"""

from __future__ import annotations

from typing import Any, Generic, TypeGuard, TypeVar, dataclass_transform

import msgspec

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _RecordType(msgspec.StructMeta):
    """Makes every subclass keyword-only: msgspec inherits `frozen` but not `kw_only`, and type checkers neither."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> _RecordType:
        config.setdefault("kw_only", True)
        return super().__new__(mcls, name, bases, namespace, **config)


class Record(msgspec.Struct, metaclass=_RecordType, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every record: immutable, keyword-only, strict about the keys it decodes.

    Records made by the thousand are declared `gc=False`: they cannot be part of a cycle, so collecting need not visit
    them. Those that caches are asked by again and again keep their hash (`cache_hash=True`).
    """


class Observation(Record):
    """What one source said, as text, kept when sources disagree."""

    source: str
    value: str


class Known(Record, Generic[T], tag_field="fact", tag="known"):
    """A value somebody read, and who said so. `also` keeps the sources that said something else."""

    value: T
    source: str
    also: tuple[Observation, ...] = ()


class Absent(Record, tag_field="fact", tag="absent"):
    """The source answered, and the thing is not there."""

    source: str


class Unknown(Record, tag_field="fact", tag="unknown"):
    """Nobody could say; `why` is one clause a person can act on."""

    why: str


NOT_READ = Unknown(why="not read")


def is_known(fact: Known[T] | Absent | Unknown) -> TypeGuard[Known[T]]:
    """True when the fact carries a value (narrows the type)."""
    return isinstance(fact, Known)


def value_of(fact: Known[T] | Absent | Unknown) -> T | None:
    """The value, or None for absent and unknown: only for display and for callers that treat both alike on purpose."""
    return fact.value if isinstance(fact, Known) else None


def text_of(fact: Known[T] | Absent | Unknown) -> str:
    """How a fact reads in a sentence: its value, "none", or "unknown (why)"."""
    if isinstance(fact, Known):
        return str(fact.value)
    return "none" if isinstance(fact, Absent) else f"unknown ({fact.why})"


BoolFact = Known[bool] | Absent | Unknown
IntFact = Known[int] | Absent | Unknown
FloatFact = Known[float] | Absent | Unknown
TextFact = Known[str] | Absent | Unknown
TextsFact = Known[tuple[str, ...]] | Absent | Unknown
