"""A backend's verdicts folded into one word, one sentence and the first broken link."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from envcheck.judge.causes import PREFIX
from envcheck.judge.row_verdicts import fill, in_range
from envcheck.judge.scene import Scene
from envcheck.schema.facts import Known
from envcheck.schema.requirement import BackendMatrix, Release
from envcheck.schema.verdict import CHAIN, BackendState, Verdict


def blocking(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Unmet blockers that installing packages into the target does not cure, as they come."""
    return (v for v in verdicts if v.status == "not_met" and v.severity == "blocker" and not v.fixed_by_install)


def state_of(
    matrix: BackendMatrix, scene: Scene, own: Sequence[Verdict], machine: Sequence[Verdict], other: Release | None
) -> BackendState:
    """blocked > limited > unknown > ready_after_install > ready.

    `limited` means that something works: on the CPU only, or with another release. What nobody knows about packages
    does not make a backend unknown, because installing them settles it.
    """
    chain = _chain(own, machine)
    limits = {row.id: row.limits for row in matrix.requirement if row.limits and in_range(row, scene)}
    if limits:
        # What works without a GPU still works when the GPU's stack is broken.
        limits |= {v.id: f"{v.says} Until then only the CPU works." for v in chain if v.id.startswith(PREFIX)}
    title = matrix.backend.title
    broken = [v for v in chain if v.status == "not_met" and v.severity == "blocker"]
    first = broken[0].id if broken else None
    hard = [v for v in blocking(chain) if v.id not in limits]
    if hard:
        if other is None:
            return BackendState(status="blocked", why=hard[0].says, first_broken=first)
        why = f"{hard[0].says} {title} {other.version} is the newest release that runs here."
        return BackendState(status="limited", why=why, first_broken=first)
    missing = [v for v in chain if v.fixed_by_install and v.status == "not_met"]
    limited = [v for v in chain if v.id in limits and v.status in ("not_met", "warning") and not _partly(v)]
    unknown = [v for v in chain if v.status == "unknown" and v.severity == "blocker" and not v.fixed_by_install]
    if limited:
        tail = f" Not installed yet: {', '.join(v.title for v in missing)}." if missing else ""
        why = fill(limits[limited[0].id], scene) + tail
        return BackendState(status="limited", why=why, first_broken=first or limited[0].id)
    if unknown:
        return BackendState(status="unknown", why=unknown[0].says, first_broken=unknown[0].id)
    if missing:
        return BackendState(status="ready_after_install", why=missing[0].says, first_broken=first)
    if isinstance(scene.installed, Known):
        return BackendState(status="ready", why=f"{title} {scene.installed.value} is installed and its needs are met.")
    why = f"Nothing known stands in the way; whether {title} is installed is not known."
    return BackendState(status="ready_after_install", why=why)


def _partly(verdict: Verdict) -> bool:
    """A blocker row that one GPU meets and another does not: the backend runs in full on the first."""
    return verdict.status == "warning" and verdict.severity == "blocker"


def _chain(own: Sequence[Verdict], machine: Sequence[Verdict]) -> list[Verdict]:
    """The backend's verdicts and those of the machine that they hang on, in chain order."""
    needed = {required for v in own for required in v.requires}
    needed |= {v.id for v in machine if v.id.startswith(PREFIX) and v.link in ("device", "driver")}
    return sorted([*(v for v in machine if v.id in needed), *own], key=lambda v: CHAIN.index(v.link))
