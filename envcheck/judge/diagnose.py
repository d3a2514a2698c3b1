"""All rules over one case, one finding for each cause, most decisive first. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from envcheck.discover import load_all
from envcheck.judge.rule import MAX_EVIDENCE, Case, Rule
from envcheck.schema.verdict import CHAIN, Finding

_SEVERITY = {"blocker": 0, "warning": 1, "info": 2}
_CONFIDENCE = {"certain": 0, "likely": 1, "possible": 2}


def rules() -> tuple[Rule, ...]:
    """Every rule of `envcheck.judge.rules`, in the order of their file names."""
    return tuple(load_all("envcheck.judge.rules", "RULE").values())


def findings(case: Case) -> tuple[Finding, ...]:
    """What the rules find: by severity, causes before what they cause, then by confidence and place in the chain."""
    known = {rule.cause: rule for rule in rules()}
    merged = [merge(found) for rule in known.values() if (found := list(rule.judge(case)))]
    return tuple(ordered(merged, known))


def merge(found: list[Finding]) -> Finding:
    """One finding for a cause: the strongest speaks, the lines of all that are as serious stand behind it."""
    best = min(found, key=_strength)
    evidence = dict.fromkeys(quote for finding in sorted(found, key=_strength) for quote in finding.evidence)
    # Only what is at least likely may block: a possibility is a warning, whatever a rule or a sign says.
    severity = "warning" if best.severity == "blocker" and best.confidence == "possible" else best.severity
    return Finding(
        cause=best.cause,
        severity=severity,
        says=best.says,
        evidence=tuple(evidence)[:MAX_EVIDENCE],
        remedy=best.remedy,
        confidence=best.confidence,
    )


def ordered(found: Iterable[Finding], known: dict[str, Rule]) -> list[Finding]:
    """Sort; a finding that an equally serious one explains comes after it."""
    listed = list(found)
    explained: dict[str, bool] = {}
    for finding in listed:
        for cause in known[finding.cause].explains:
            other = next((f for f in listed if f.cause == cause), None)
            if other and _strength(finding) <= _strength(other):
                explained[cause] = True
    links = {cause: CHAIN.index(rule.link) for cause, rule in known.items()}
    return sorted(
        listed,
        key=lambda f: (
            _SEVERITY[f.severity],
            explained.get(f.cause, False),
            _CONFIDENCE[f.confidence],
            links[f.cause],
            f.cause,
        ),
    )


def _strength(finding: Finding) -> tuple[int, int]:
    return _SEVERITY[finding.severity], _CONFIDENCE[finding.confidence]
