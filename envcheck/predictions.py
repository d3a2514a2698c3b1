"""What `fit` expects of a model on this machine, in the form validation compares with. Joins two stages, so it is not
part of either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from envcheck.schema.backend import Candidate
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.run import Run
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Intent

if TYPE_CHECKING:
    from envcheck.host import Host

ENGINE_OF = {"embedded": "llama.cpp"}
"""Backends whose memory and speed follow another one's rules."""


def predictor(host: Host, snapshot: Snapshot | None = None) -> Callable[[Candidate, Run], Mapping[str, float]]:
    """A function that predicts for one candidate. The machine is looked at once, when it is first needed."""
    seen: list[Snapshot] = [] if snapshot is None else [snapshot]

    def predict(candidate: Candidate, run: Run) -> Mapping[str, float]:
        from envcheck import api

        if not seen:
            seen.append(api.this_machine(host))
        return expected(seen[0], candidate, run)

    return predict


def expected(snapshot: Snapshot, candidate: Candidate, run: Run) -> Mapping[str, float]:
    """Memory (MiB) and speed (tokens/s) with their intervals; empty where the model is not known to `fit`."""
    from envcheck import api

    backend = ENGINE_OF.get(candidate.backend, candidate.backend)
    context = run.settings.get("context", "")
    intent = Intent(context=int(context) if context.isdigit() else None)
    try:
        rows = api.fits(snapshot, intent, [backend], [candidate.path or candidate.model])
    except EnvcheckError:  # a name or file that `fit` cannot read: there is no prediction, and that is no failure
        return {}
    row = next((row for row in rows if row.backend == backend), None)
    if row is None:
        return {}
    found: dict[str, float] = {}
    if row.memory_mib is not None:
        found["total_mib"] = row.memory_mib.total
    if (interval := (row.interval_mib or {}).get("total")) is not None:
        found |= {"total_mib_low": interval[0], "total_mib_high": interval[1]}
    if row.speed is not None:
        for name in ("decode_tps", "prefill_tps"):
            if (band := getattr(row.speed, name)) is not None:
                found |= {name: band.value, f"{name}_low": band.low, f"{name}_high": band.high}
    return found
