"""How much of the processor others took, from counters before and after."""

from __future__ import annotations

import os

import pytest

from envcheck.validate.contention import Reading, others_share, reading


def at(clock: float, busy: float, own: float) -> Reading:
    return Reading(clock_s=clock, busy_s=busy, own_s=own, processors=2)


@pytest.mark.parametrize(
    ("after", "share"),
    [
        (at(10, 15, 10), 0.25),
        (at(10, 10, 10), 0.0),
        (at(10, 9, 10), 0.0),  # ticks are coarse: a little less than nothing is nothing
        (at(10, 20, 0), 1.0),
        (at(10, 15, -5), 0.75),  # a process of the engine ended, and its time with it: that is nobody's
        (at(0.5, 15, 10), None),
        (None, None),
    ],
)
def test_share(after: Reading | None, share: float | None) -> None:
    assert others_share(at(0, 0, 0), after) == share


def test_nothing_is_said_of_engines_that_are_not_here() -> None:
    assert reading(()) is None
    assert others_share(None, at(9, 9, 9)) is None


def test_counters_of_this_machine_go_up() -> None:
    first, second = reading((os.getpid(),)), reading((os.getpid(),))
    assert first is not None
    assert second is not None
    assert second.clock_s >= first.clock_s
    assert second.own_s >= first.own_s > 0
    assert first.processors >= 1
