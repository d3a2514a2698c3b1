"""AMD SMI, AMD's own library, asked in a child that can be killed: what it said, and its figures by device."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcheck.probes._json_lines import decoded
from envcheck.probes._values import MIB, table, tables, text, whole

if TYPE_CHECKING:
    from envcheck.host import Host

Fields = dict[str, Any]
_MOST = 64


def folder(host: Host) -> str | None:
    """Where the binding lies: beside envcheck, or where ROCM's packages put it; None where it is not installed."""
    if not host.is_real or host.platform != "linux":
        return None
    from importlib.util import find_spec

    beside = find_spec("amdsmi")
    places = [str(Path(beside.origin).parent.parent)] if beside and beside.origin else []
    roots = [host.env.get("ROCM_PATH") or "", "/opt/rocm"]
    places += [f"{root}/share/amd_smi" for root in roots if root.startswith("/")]
    places += [part for part in host.env.get("PYTHONPATH", "").split(":") if part.startswith("/")]
    return next((place for place in places if host.exists(f"{place}/amdsmi/__init__.py")), None)


def ask(host: Host, place: str) -> dict[str, Any]:
    """The child's lines, and how it ended."""
    child = str(Path(__file__).with_name("_amdsmi_child.py"))
    done = host.run([sys.executable, "-I", "-S", child, place])
    return {"lines": decoded(done.out), "failure": done.failure, "code": done.code}


def devices(said: object) -> list[Fields]:
    """One record per device in AMD SMI's order; empty where it could not be asked."""
    found: dict[int, Fields] = {}
    for line in tables(table(said).get("lines")):
        index = whole(line.get("gpu"))
        if index is not None and 0 <= index < _MOST:
            found.setdefault(index, {}).update(line)
    return [found[index] for index in sorted(found)] if sorted(found) == list(range(len(found))) else []


def links(said: object) -> dict[str, str]:
    """Pairs of devices ("0-1") to how they are joined."""
    named = next((table(line["links"]) for line in tables(table(said).get("lines")) if "links" in line), {})
    return {
        pair: shown
        for pair, value in named.items()
        if re.fullmatch(r"\d{1,3}-\d{1,3}", pair) and (shown := text(value, 40))
    }


def mib(device: Fields, *keys: str) -> int | None:
    """A size that AMD SMI gives in MiB; `keys` beyond the first are taken off it."""
    sizes = [whole(device.get(key)) for key in keys]
    if any(size is None or size < 0 or size > 2**40 // MIB * MIB for size in sizes):
        return None
    left = (sizes[0] or 0) - sum(size or 0 for size in sizes[1:])
    return left if left > 0 else None
