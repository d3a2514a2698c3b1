"""Look at a machine: run every probe, keep its evidence, parse it into a snapshot.

A probe that crashes or hangs is an ordinary reading: its section becomes unknown with the reason, the others arrive.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from envcheck import __version__
from envcheck.alias import alias
from envcheck.discover import load, load_all
from envcheck.host import Host
from envcheck.schema.evidence import SCHEMA_VERSION, EvidenceFile, Timing
from envcheck.schema.facts import Record, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Snapshot

SLOWEST = "nvidia"
"""The probe whose child takes longest where there is a GPU: it starts before the others are even imported."""
SLACK_S = 3.0
"""What a probe may take beyond the limit of the programs it runs, before it counts as hung."""


def probes() -> dict[str, Probe]:
    """All probes by section name."""
    return load_all("envcheck.probes", "PROBE")


def collect(host: Host, meanwhile: Sequence[Callable[[], None]] = ()) -> tuple[EvidenceFile, tuple[Timing, ...]]:
    """Evidence of every section. Probes that wait for programs run beside the others, and beside `meanwhile`: the
    first of it is always done, the rest only while the slowest probe has not answered."""
    evidence: dict[str, Evidence] = {}
    timings: dict[str, float] = {}

    def one(section: str, probe: Probe) -> None:
        started = time.perf_counter()
        try:
            evidence[section] = probe.collect(host)
        except Exception as error:  # noqa: BLE001  a broken probe is a reading, not a failure of the run
            # The type alone: the words of an exception can hold a path or a name of this machine.
            evidence[section] = {"failed": f"the probe failed ({type(error).__name__})"}
        timings[section] = time.perf_counter() - started

    waiting: dict[str, threading.Thread] = {}

    def start(section: str, probe: Probe) -> None:
        if probe.waits and section not in waiting:
            waiting[section] = threading.Thread(target=one, args=(section, probe), daemon=True)
            waiting[section].start()

    start(SLOWEST, load("envcheck.probes", SLOWEST, "PROBE"))
    found = probes()
    for section, probe in found.items():
        start(section, probe)
    for section, probe in found.items():
        if section not in waiting:
            one(section, probe)
    for place, task in enumerate(meanwhile):
        if place == 0 or waiting[SLOWEST].is_alive():
            task()
    # Levels 2 and 3 import torch in a child, which has its own, longer limit.
    deadline = time.monotonic() + (host.limit_s if host.level < 2 else 240.0) + SLACK_S
    for section, thread in waiting.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            evidence[section] = {"failed": "the probe did not answer within its limit"}
    file = EvidenceFile(
        envcheck=__version__,
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        level=host.level,
        evidence={section: evidence[section] for section in sorted(found)},
    )
    return file, tuple(Timing(section=s, seconds=timings.get(s, host.limit_s)) for s in sorted(found))


def parse(file: EvidenceFile) -> Snapshot:
    """The snapshot that the evidence says. Pure: the same file gives the same snapshot anywhere."""
    sections: dict[str, Any] = {}
    for section, probe in probes().items():
        raw = file.evidence.get(section)
        if not isinstance(raw, dict):
            sections[section] = _unknown(section, "the snapshot holds no evidence of this")
        elif isinstance(raw.get("failed"), str):
            sections[section] = _unknown(section, raw["failed"])
        else:
            sections[section] = probe.parse(raw)
    snapshot = Snapshot(
        schema_version=SCHEMA_VERSION, taken_at=file.taken_at, origin="machine", level=file.level, **sections
    )
    return msgspec.structs.replace(snapshot, alias=alias(snapshot))


def _unknown(section: str, why: str) -> Any:
    """The section with every fact unknown for the given reason."""
    empty = getattr(Snapshot(), section)
    if not isinstance(empty, Record) or isinstance(empty, Unknown):
        return Unknown(why=why)
    facts = {f: Unknown(why=why) for f in empty.__struct_fields__ if isinstance(getattr(empty, f), Unknown)}
    return type(empty)(**facts)
