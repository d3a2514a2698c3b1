"""CPUs by name: nominal memory bandwidth, cores and arithmetic, for decoding on the host."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from functools import cache

import msgspec

from envcheck.resources import folder
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record
from envcheck.schema.speed import Processor

_FILE = "cpus.toml"
_RAM = re.compile(r"(?:lp)?ddr\d\w*[- ]?(\d{4,5})")


class CpuRow(Record):
    """One CPU or family. `match` is a regular expression over the lower-case name; the first match counts."""

    match: str
    channels: float
    """Memory channels of 64 bits (a 32-bit LPDDR channel counts half)."""
    mega_transfers: float
    """Highest transfer rate the maker supports, 10^6 per second."""
    cores: int
    """Physical performance cores (all cores where there is one kind), both sockets of a pair."""
    giga_flops_per_core: float
    """FP32 multiply-adds per second and core counted as two operations: vector lanes x units x 2 x sustained clock."""
    source: str
    checked: str
    notes: str = ""


class UnitsRow(Record):
    """What one core of an unlisted processor is taken for, by its widest vector units; the first match counts."""

    flag: str
    """As the kernel names it; empty: nothing is known of its units."""
    giga_flops_per_core: float
    like: str
    """Which processors it is taken for, as in "as processors with AVX2 have"."""
    source: str
    checked: str


class _File(Record):
    units: tuple[UnitsRow, ...]
    cpu: tuple[CpuRow, ...]


@cache
def _file() -> _File:
    path = folder("requirements_matrix") / _FILE
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (OSError, ValueError) as error:
        raise EnvcheckError(f"{_FILE} in requirements_matrix cannot be used: {error}.") from None


def rows() -> tuple[CpuRow, ...]:
    """The rows. Raises EnvcheckError naming the file and key of a bad value."""
    return _file().cpu


def arithmetic_of_units(flags: Collection[str]) -> tuple[float, str]:
    """GFLOP/s to assume of a core with these vector units, and of what processors that is usual."""
    row = next(row for row in _file().units if not row.flag or row.flag in flags)
    return row.giga_flops_per_core, row.like


def find(name: str, ram: str = "", threads: int | None = None) -> Processor | None:
    """The CPU a name stands for, or None. A stated RAM type ("DDR5-5600") replaces the highest supported rate."""
    said = name.lower()
    for row in rows():
        if re.search(row.match, said):
            rate = _RAM.search(f"{ram} {name}".lower())
            mega = float(rate[1]) if rate else row.mega_transfers
            cores = min(threads, row.cores) if threads else row.cores
            return Processor(
                name=name,
                bandwidth_gbs=row.channels * 8.0 * mega / 1e3,
                cores=max(cores, 1),
                giga_flops_per_core=row.giga_flops_per_core,
                basis=f"table ({row.source}, {row.checked})",
            )
    return None
