"""Completes a GPU's record from the hardware table, by the name that the driver or the bus gave it."""

from __future__ import annotations

from typing import Any

import msgspec

from envcheck.schema.facts import Known, Unknown
from envcheck.schema.snapshot import Gpu

SOURCE = "hardware table"
_KINDS = {"discrete": "discrete", "laptop": "discrete", "integrated": "integrated", "soc": "integrated"}


def complete(gpu: Gpu) -> Gpu:
    """The same GPU with what its sources left open and the table knows: capability or target, kind, nominal memory.

    What a source said is never replaced. The memory of an integrated GPU stays open: it is the machine's, not the
    product's. A name that the table does not know changes nothing.
    """
    has_target = isinstance(gpu.compute_capability, Known) or isinstance(gpu.gfx, Known)
    settled = (has_target or gpu.vendor not in ("nvidia", "amd")) and isinstance(gpu.memory_total_mib, Known)
    if not isinstance(gpu.name, Known) or (settled and gpu.kind != "unknown"):
        return gpu
    from envcheck import hardware

    memory = gpu.memory_total_mib.value if isinstance(gpu.memory_total_mib, Known) else None
    row = hardware.find(gpu.name.value, memory)
    if row is None:
        return gpu
    known: dict[str, Any] = {}
    if row.compute_capability and isinstance(gpu.compute_capability, Unknown):
        known["compute_capability"] = Known(value=row.compute_capability, source=SOURCE)
    if row.gfx and isinstance(gpu.gfx, Unknown):
        known["gfx"] = Known(value=row.gfx, source=SOURCE)
    kind = _KINDS[row.kind]
    if gpu.kind != kind:
        known["kind"] = kind
    if memory is None and row.memory_mib and kind == "discrete":
        known["memory_total_mib"] = Known(value=row.memory_mib, source=SOURCE)
    return msgspec.structs.replace(gpu, **known)
