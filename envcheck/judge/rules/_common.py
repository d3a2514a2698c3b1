"""Small words that several rules share."""

from __future__ import annotations

from collections.abc import Iterable

from envcheck.judge.rule import MAX_EVIDENCE, Case
from envcheck.judge.version import Version
from envcheck.schema.verdict import Finding, Quote


def quotes(*found: Quote | None) -> tuple[Quote, ...]:
    """The quotes that exist, without doubles, at most as many as a person reads."""
    return tuple(dict.fromkeys(q for q in found if q is not None))[:MAX_EVIDENCE]


def at_least(have: Version | None, wanted: Version) -> bool:
    """True where `have` is known and not older than `wanted`."""
    return have is not None and have >= wanted


def below(have: Version | None, limit: Version) -> bool:
    """True where `have` is known and older than `limit`."""
    return have is not None and have < limit


def first(findings: Iterable[Finding]) -> list[Finding]:
    """The first finding, as a list that may be empty."""
    for finding in findings:
        return [finding]
    return []


def windows(case: Case) -> bool:
    """True where the target is native Windows."""
    fact = case.snapshot.os.family
    return getattr(fact, "value", "") == "windows"
