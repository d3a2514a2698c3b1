"""How fast packages have come to this machine, so that a plan can say how long the next ones will take.

Only downloads in which nothing came out of the cache count: uv says how many packages it fetched and how long all of
them took, unpacking included.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from envcheck.host import Host
from envcheck.schema.facts import Record
from envcheck.schema.plan import PlannedPackage

KEPT = 5
KEPT_S = 30 * 86_400
"""Downloads that count: so many, and none older than this, in seconds."""
LEAST_BYTES = 10_000_000
"""A download of less says how far the index is, not how wide the line."""
_PREPARED = re.compile(r"^Prepared (\d+) packages? in (?:(\d+)m )?([\d.]+)(ms|s)$", re.MULTILINE)


class Download(Record):
    """One download."""

    at: float
    """Seconds since the epoch."""
    size_bytes: int
    seconds: float


def download_in(said: str, packages: Sequence[PlannedPackage]) -> Download | None:
    """What uv's own words tell of a download of exactly these packages; None where some were in the cache already."""
    found = _PREPARED.search(said)
    sizes = [package.size_bytes for package in packages]
    size = sum(each or 0 for each in sizes)
    if found is None or int(found[1]) != len(packages) or None in sizes or size < LEAST_BYTES:
        return None
    seconds = 60 * int(found[2] or 0) + float(found[3]) / (1000 if found[4] == "ms" else 1)
    return Download(at=time.time(), size_bytes=size, seconds=seconds) if seconds > 0 else None


def remember(host: Host, said: str, packages: Sequence[PlannedPackage]) -> None:
    """Keep what uv's words tell. Where nothing can be kept, nothing is."""
    new = download_in(said, packages)
    path = _path(host)
    if new is None or path is None:
        return
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.write_bytes(msgspec.json.encode([*_kept(path), new][-KEPT:]))
        fresh.replace(path)
    except OSError:
        return


def bytes_per_s(host: Host) -> float | None:
    """What the last downloads here came to; None where there was none lately."""
    path = _path(host)
    kept = _kept(path) if path else []
    return sum(each.size_bytes for each in kept) / sum(each.seconds for each in kept) if kept else None


def _kept(path: Path) -> list[Download]:
    try:
        downloads = msgspec.json.decode(path.read_bytes(), type=list[Download])
    except (OSError, msgspec.DecodeError):
        return []
    return [each for each in downloads if 0 <= time.time() - each.at < KEPT_S and each.seconds > 0]


def _path(host: Host) -> Path | None:
    """Where downloads are kept; None where the user has no place for such things."""
    base, home = host.env.get("XDG_CACHE_HOME"), host.env.get("HOME")
    return Path(base or f"{home}/.cache") / "envcheck" / "downloads.json" if base or home else None
