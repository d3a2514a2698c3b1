"""A GPU as rules see it: what was read, completed by the hardware table where the reading names a product."""

from __future__ import annotations

from typing import NamedTuple

from envcheck.hardware import find, most_memory_mib
from envcheck.judge.versions import Version, version
from envcheck.schema.facts import Known, TextFact, value_of
from envcheck.schema.snapshot import Gpu, Snapshot


class Device(NamedTuple):
    """One GPU. None means that neither the reading nor the table says."""

    number: int
    vendor: str
    kind: str
    name: str
    capability: Version | None
    gfx: str
    memory_mib: int | None
    free_mib: int | None
    memory_read: bool
    """False where it is the product's nominal memory (of its largest version), of which the driver keeps a little."""
    fact: TextFact
    """The reading that names the device, for evidence."""

    @property
    def sm(self) -> str:
        """The compute capability as compilers write it: "sm_86"."""
        return "sm_" + "".join(map(str, self.capability or ()))


# What torch prints as "compute capability" on ROCm is the gfx target's first two digits; where they name one target
# only, it is that one. https://llvm.org/docs/AMDGPUUsage.html#processors
_GFX_OF_CAPABILITY: dict[tuple[int, ...], str] = {
    (9, 4): "gfx942",
    (9, 5): "gfx950",
    (11, 0): "gfx1100",
    (12, 0): "gfx1201",
    (10, 3): "gfx1030",
    (11, 5): "gfx1151",
}


def devices_of(snapshot: Snapshot) -> tuple[Device, ...]:
    """All GPUs of a snapshot, discrete ones first."""
    return tuple(_device(gpu) for gpu in value_of(snapshot.gpus) or ())


def _device(gpu: Gpu) -> Device:
    name = value_of(gpu.name) or ""
    memory = value_of(gpu.memory_total_mib)
    row = find(name, memory) if name else None
    capability = version(value_of(gpu.compute_capability))
    gfx = value_of(gpu.gfx) or ""
    if gpu.vendor == "amd" and capability:
        gfx = gfx or _GFX_OF_CAPABILITY.get(capability[:2], "")
    if row is not None and row.vendor.lower() == gpu.vendor:
        capability = capability or version(row.compute_capability)
        gfx = gfx or row.gfx or ""
        # Of several versions the largest: what it cannot hold, none of them can.
        memory = memory or most_memory_mib(name) or row.memory_mib
    kind = gpu.kind if gpu.kind != "unknown" or row is None else row.kind
    return Device(
        number=gpu.index,
        vendor=gpu.vendor,
        kind=kind,
        name=name or f"{gpu.vendor} GPU {gpu.index}",
        capability=capability if gpu.vendor == "nvidia" else None,
        gfx=gfx.split(":")[0],
        memory_mib=memory,
        free_mib=value_of(gpu.memory_free_mib),
        memory_read=isinstance(gpu.memory_total_mib, Known),
        fact=gpu.name if isinstance(gpu.name, Known) else gpu.compute_capability,
    )
