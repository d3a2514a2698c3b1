"""Access Control Services of PCI bridges: where they redirect, traffic between two GPUs goes up to the root complex.

NCCL asks to have them off for GPU Direct
(https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html#pci-access-control-services-acs).
Offsets and bits are those of the PCI Express specification, "Access Control Services Extended Capability".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from envcheck.probes._pci import BUS
from envcheck.probes._values import flag, table, whole
from envcheck.schema.facts import Absent, Known, TextFact, Unknown

if TYPE_CHECKING:
    from envcheck.host import Host

_BRIDGE = "0x0604"
_DISPLAY = ("0x03", "0x12")
_STANDARD, _WHOLE = 64, 4096
"""Bytes of configuration space that everybody may read, and all of it."""
_ACS = 0x000D
_FIRST = 0x100
_REDIRECTS = 0x04 | 0x08 | 0x20
"""P2P Request Redirect, P2P Completion Redirect, P2P Egress Control."""
_SOURCE = "/sys/bus/pci/devices/*/config"


def collect(host: Host) -> dict[str, Any]:
    """Counts over all bridges; read only where two devices could talk to each other. No address is kept."""
    counts = {"displays": 0, "bridges": 0, "unreadable": 0, "with_acs": 0, "redirecting": 0}
    folders = [f"{BUS}/{name}" for name in host.names(BUS)]
    kinds = {folder: (host.read(f"{folder}/class", 20) or "").strip() for folder in folders}
    counts["displays"] = sum(kind.startswith(_DISPLAY) for kind in kinds.values())
    if counts["displays"] < 2:
        return counts
    for folder, kind in kinds.items():
        if kind.startswith(_BRIDGE):
            counts["bridges"] += 1
            config = host.read_bytes(f"{folder}/config", _WHOLE) or b""
            control = control_register(config)
            counts["unreadable"] += len(config) <= _STANDARD
            counts["with_acs"] += control is not None
            counts["redirecting"] += bool(control and control & _REDIRECTS)
    return counts


def control_register(config: bytes) -> int | None:
    """The ACS control register in a configuration space; None where it has no such capability or is cut."""
    at, seen = _FIRST, set()
    while _FIRST <= at <= len(config) - 8 and at not in seen:
        seen.add(at)
        header = struct.unpack_from("<I", config, at)[0]
        if header & 0xFFFF == _ACS:
            return int(struct.unpack_from("<H", config, at + 6)[0])
        at = header >> 20 & 0xFFC
    return None


def parse(seen: object) -> TextFact:
    """ "off", "on: 2 of 6 bridges"; absent without bridges that have it, unknown where they may not be read."""
    counts = table(seen)
    number = {
        key: whole(counts.get(key)) or 0 for key in ("displays", "bridges", "unreadable", "with_acs", "redirecting")
    }
    if not counts or flag(counts.get("bridges")) is not None:
        return Unknown(why="the PCI bridges were not looked at")
    if number["displays"] < 2:
        return Absent(source="fewer than two GPUs on the bus")
    if number["redirecting"] > 0:
        return Known(value=f"on: {number['redirecting']} of {number['bridges']} bridges", source=_SOURCE)
    if number["unreadable"] > 0:
        return Unknown(why=f"only root may read the configuration space of {number['unreadable']} PCI bridges")
    return Known(value="off", source=_SOURCE) if number["with_acs"] > 0 else Absent(source=_SOURCE)
