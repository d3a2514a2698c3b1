"""The backend, or the transformers under it, does not know the model's architecture."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._arrivals import first_release
from envcheck.judge.rules._common import finding
from envcheck.judge.version import dotted
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


RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("dependency_version_conflict",))
