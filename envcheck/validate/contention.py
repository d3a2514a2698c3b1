"""How much of the processor other programs took while an engine worked, which is what slows a shared machine."""

from __future__ import annotations

import contextlib
import os
import time

from envcheck.schema.facts import Record
from envcheck.validate import memory

SHORTEST_S = 1.0
"""A shorter stretch tells nothing: the kernel counts processor time in ticks of up to 10 ms."""


class Reading(Record):
    """Seconds since some start: on the clock, of all processors while not idle, and of the engine's processes."""

    clock_s: float
    busy_s: float
    own_s: float
    processors: int


def reading(pids: tuple[int, ...]) -> Reading | None:
    """The counters now; None where the system does not give them or the engine's processes are not known."""
    import psutil

    if not pids:
        return None
    try:
        times = psutil.cpu_times()
        processors = psutil.cpu_count() or 1
    except (psutil.Error, OSError):
        return None
    idle = times.idle + getattr(times, "iowait", 0.0)
    return Reading(
        clock_s=time.monotonic(),
        busy_s=sum(times[:8]) - idle,  # what follows on Linux (guest) is part of user time
        own_s=_of_tree((*pids, os.getpid())),
        processors=processors,
    )


def _of_tree(pids: tuple[int, ...]) -> float:
    import psutil

    total = 0.0
    for pid in memory.tree(pids):
        with contextlib.suppress(psutil.Error):
            used = psutil.Process(pid).cpu_times()
            total += used.user + used.system
    return total


def others_share(before: Reading | None, after: Reading | None) -> float | None:
    """Part of all processor time between two readings that went to other programs, 0 to 1; None where it is unknown."""
    if before is None or after is None or after.clock_s - before.clock_s < SHORTEST_S:
        return None
    all_s = (after.clock_s - before.clock_s) * after.processors
    others = (after.busy_s - before.busy_s) - max(after.own_s - before.own_s, 0.0)
    return min(max(others / all_s, 0.0), 1.0)
