"""The backend, or the transformers under it, does not know the model's architecture."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._arrivals import first_release
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._ollama import first_ollama
from envcheck.judge.versions import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "backend_too_old_for_model"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the release in which the model's family arrived."""
    yield from spoken(case, CAUSE)
    for owner, since in first_release(case.model):
        have = case.package(owner)
        if have and have < since and "dev" not in (getattr(case.snapshot.python.package(owner), "value", "")):
            relevant = owner == "transformers" or case.backend in ("", owner)
            yield finding(
                CAUSE,
                "blocker" if relevant and owner == case.backend else "warning",
                f"{owner} {dotted(have)} is older than {dotted(since)}, the first release that knows this model.",
                case.package_quote(owner),
                confidence="likely",
            )
    yield from _ollama(case)


_ARCHITECTURE = r"general\.architecture\s.{0,20}=\s{0,3}([\w.-]{2,40})"


def _ollama(case: Case) -> Iterator[Finding]:
    """The release of Ollama against the model that was to run, or the architecture that its log prints."""
    presence = case.snapshot.backend("ollama") if case.backend == "ollama" else None
    fact = presence.binary if presence else None
    have = version(value_of(fact)) if fact else None
    if fact is None or have is None:
        return
    printed = [(match.group(1), line) for line, match in case.paste.matching("general.architecture", _ARCHITECTURE)]
    for name, line in (*printed, (case.model, None)):
        since = first_ollama(name)
        if since and have < since:
            says = f"Ollama {dotted(have)} is older than {dotted(since)}, the first release that knows {name}."
            evidence = (case.quote("ollama", fact), quoted(line) if line else None)
            yield finding(CAUSE, "warning", says, *evidence, confidence="likely")
            return


RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("dependency_version_conflict",))
