"""Which model to show for a backend: the ones a benchmark would start with."""

from __future__ import annotations

from envcheck.schema.fit import FitRow
from envcheck.schema.report import Subject

_RANK = {"fits": 0, "tight": 1, "offload": 2}


def usable_backends(subject: Subject) -> list[str]:
    """Backends that work or would after an install, in the judge's order."""
    states = subject.judgement.backends
    return [name for name, state in states.items() if state.status in ("ready", "limited", "ready_after_install")]


def chosen_fit(subject: Subject, backend: str) -> FitRow | None:
    """The largest model that fits with room; else the largest that is tight; else the smallest that needs offloading.

    Ties (the same model in several quantizations) go to the most bits that fit, which the fits list first by memory.
    """
    rows = [row for row in subject.fits if row.backend == backend and row.status in _RANK]
    if not rows:
        return None
    best = min(_RANK[row.status] for row in rows)
    among = [row for row in rows if _RANK[row.status] == best]
    if best == _RANK["offload"]:
        return min(among, key=_size)
    return max(among, key=_size)


def _size(row: FitRow) -> tuple[float, float]:
    return (row.params_b or 0.0, row.memory_mib.total if row.memory_mib else 0.0)
