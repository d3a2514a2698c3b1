"""What all backends share when a need is held against the room: the sum, the verdict, the limits."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Protocol

from envcheck.fit.memory_interval import Situation, half_widths
from envcheck.schema.facts import Record
from envcheck.schema.fit import Device, MemoryTerms, Status

CONTEXT_STEP = 256
SMALLEST_CONTEXT = 256
MOST_CONCURRENT = 1024

DRIVER_CONTEXT_MIB = {"nvidia": 430.0, "amd": 470.0}
"""Memory of a process's driver context on one device, libraries included: `nvidia-smi` less llama.cpp's buffers was 309
to 431 MiB on five start-ups, ROCm 0.47 GiB a device on one of four; another vendor's is taken for NVIDIA's."""
DRIVER_SPREAD_MIB = 120.0
"""Half the range those contexts were seen in."""


class Need(Record, gc=False):
    """MiB over all devices used."""

    weights: float
    kv: float
    recurrent_state: float
    compute: float
    overhead: float
    host: float = 0.0
    """Weights and cache left in host memory."""

    @property
    def total(self) -> float:
        """The sum on the devices."""
        return self.weights + self.kv + self.recurrent_state + self.compute + self.overhead


class Placing(Hashable, Protocol):
    """One way to put a model on a machine."""

    @property
    def available(self) -> float:
        """MiB that the devices used offer together."""
        ...

    @property
    def situation(self) -> Situation:
        """Which row of the interval table applies."""
        ...

    def total(self, context: int, concurrency: int) -> float:
        """What so many sequences of so many tokens need on the devices."""
        ...


def driver_context(device: Device) -> float:
    """MiB of one process's driver context on a device; Metal and host memory have none of their own."""
    if device.kind == "unified":
        return 0.0
    return DRIVER_CONTEXT_MIB.get(device.vendor, DRIVER_CONTEXT_MIB["nvidia"])


@lru_cache(maxsize=64)
def driver_contexts(devices: tuple[Device, ...]) -> float:
    """The same on all of them; MiB."""
    return sum(map(driver_context, devices), start=0.0)


def interval(need: Need, situation: Situation, devices: int) -> tuple[float, float]:
    """The range that covers nine of ten start-ups: the model's terms by the table, the driver's by its spread."""
    total = need.total
    half = half_widths()[situation] * (total - need.overhead) + DRIVER_SPREAD_MIB * devices
    return max(total - half, 0.0), total + half


def verdict(need: Need, available: float, high: float) -> Status:
    """fits where even the interval's upper end has room, tight where only the prediction has, else no."""
    if high <= available:
        return "fits"
    return "tight" if need.total <= available else "no"


def terms(need: Need, available: float) -> MemoryTerms:
    """The terms as a row carries them; the sum is made of the rounded parts."""
    weights, state, overhead = _rounded(need.weights), _rounded(need.recurrent_state), _rounded(need.overhead)
    kv, compute, room = round(need.kv, 2), round(need.compute, 2), _rounded(available)
    total = round(weights + kv + state + compute + overhead, 2)
    return MemoryTerms(
        weights=weights,
        kv=kv,
        recurrent_state=state,
        compute=compute,
        overhead=overhead,
        total=total,
        available=room,
        headroom=round(room - total, 2),
    )


@lru_cache(maxsize=256)
def _rounded(mib: float) -> float:
    """What a row says of a term that does not depend on the context: the same for many rows."""
    return round(mib, 2)


def largest(
    needed: Callable[[int], float], available: float, low: int, high: int, step: int, least: float | None = None
) -> int | None:
    """The largest multiple of `step` from `low` to `high` that needs no more than `available`; None: not even `low`.

    `needed` never falls; `least` is what it gives for `low`, where that is known already. Tries where a straight line
    through both ends crosses, again and again, as a need is nearly straight; every third time the middle, lest one end
    stay where it is.
    """
    if least is None:
        least = needed(low)
    if least > available:
        return None
    most = needed(high)
    if most <= available:
        return high
    good, bad, tried = low, high, 0
    while good + step < bad:
        tried += 1
        share = (available - least) / (most - least) if tried % 3 else 0.5
        place = max(min(good + int(share * (bad - good)), bad - 1) // step, good // step + 1) * step
        value = needed(place)
        if value <= available:
            good, least = place, value
        else:
            bad, most = place, value
    return good


@lru_cache(maxsize=1024)
def context_limit(placing: Placing, concurrency: int, trained: int) -> int | None:
    """The longest context that still fits, at most what the model was trained for (where that is known)."""
    cap = max(trained or 2**20, SMALLEST_CONTEXT)
    return largest(lambda c: placing.total(c, concurrency), placing.available, SMALLEST_CONTEXT, cap, CONTEXT_STEP)


def concurrency_limit(placing: Placing, context: int, alone: float | None = None) -> int | None:
    """The most sequences of `context` tokens that still fit; `alone` is the need of one, where it is known already."""
    return largest(lambda n: placing.total(context, n), placing.available, 1, MOST_CONCURRENT, 1, alone)
