"""Small words that several rules share."""

from __future__ import annotations

from envcheck.judge.rule import MAX_EVIDENCE, Case, remedy_of
from envcheck.judge.versions import Version
from envcheck.schema.verdict import Confidence, Finding, Quote, Severity


def finding(
    cause: str, severity: Severity, says: str, *evidence: Quote | None, confidence: Confidence = "likely"
) -> Finding:
    """A finding with the remedy of its cause."""
    return Finding(
        cause=cause,
        severity=severity,
        says=says,
        evidence=quotes(*evidence),
        remedy=remedy_of(cause),
        confidence=confidence,
    )


def quotes(*found: Quote | None) -> tuple[Quote, ...]:
    """The quotes that exist, without doubles, at most as many as a person reads."""
    return tuple(dict.fromkeys(q for q in found if q is not None))[:MAX_EVIDENCE]


def at_least(have: Version | None, wanted: Version) -> bool:
    """True where `have` is known and not older than `wanted`."""
    return have is not None and have >= wanted


def below(have: Version | None, limit: Version) -> bool:
    """True where `have` is known and older than `limit`."""
    return have is not None and have < limit


def windows(case: Case) -> bool:
    """True where the target is native Windows."""
    fact = case.snapshot.os.family
    return getattr(fact, "value", "") == "windows"
