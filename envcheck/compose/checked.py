"""The document of `envcheck check`, and what to do first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from envcheck.schema.report import Action, CheckDocument, FitRow
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import CHAIN, Judgement, Remedy, Verdict

_WEIGHT = {"blocker": 0, "warning": 1, "info": 2}
_RISK = {"safe": 0, "restart": 1, "risky": 2}
_ALL_BACKENDS = 1_000


def check_document(snapshot: Snapshot, judgement: Judgement, fits: Sequence[FitRow] = ()) -> CheckDocument:
    """Put the stages' answers into the document that `envcheck check` prints. Keeps the judge's order of verdicts."""
    return CheckDocument(
        machine=snapshot,
        worst=judgement.worst,
        backends=judgement.backends,
        verdicts=judgement.verdicts,
        fit=tuple(fits),
        first=first_action(judgement.verdicts),
    )


def first_action(verdicts: Iterable[Verdict]) -> Action | None:
    """What to do first: the remedy of the most decisive broken verdict, None when no remedy is known or needed."""
    return next(iter(actions(verdicts)), None)


def actions(verdicts: Iterable[Verdict]) -> tuple[Action, ...]:
    """Every remedy once, most decisive first.

    Order: what blocks before what warns, then what helps the most backends (the machine concerns all), then the
    smaller risk, then the earlier link of the chain. One remedy that several verdicts share is one action.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.remedy is not None and verdict.status in ("not_met", "warning", "unknown"):
            groups.setdefault((verdict.remedy.says, verdict.remedy.commands), []).append(verdict)
    ordered = sorted(groups.values(), key=_urgency)
    return tuple(_action(group) for group in ordered)


def _urgency(group: list[Verdict]) -> tuple[int, int, int, int]:
    weight = min(_WEIGHT[v.severity] if v.status == "not_met" else 1 + _WEIGHT[v.severity] for v in group)
    backends = {v.backend for v in group}
    breadth = _ALL_BACKENDS if "machine" in backends else len(backends)
    return weight, -breadth, min(_RISK[_remedy(v).risk] for v in group), min(CHAIN.index(v.link) for v in group)


def _action(group: list[Verdict]) -> Action:
    remedy = _remedy(group[0])
    return Action(
        says=remedy.says,
        commands=remedy.commands,
        risk=remedy.risk,
        needs_root=remedy.needs_root,
        serves=tuple(v.id for v in group),
    )


def _remedy(verdict: Verdict) -> Remedy:
    if verdict.remedy is None:
        raise ValueError(f"verdict {verdict.id} has no remedy")
    return verdict.remedy
