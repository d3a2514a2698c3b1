"""A GPU as rules see it: what was read, completed by the hardware table where the reading names a product."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from envcheck.hardware import find, most_memory_mib
from envcheck.judge.rows import load
from envcheck.judge.versions import Version, version
from envcheck.schema.facts import Known, TextFact, Unknown, value_of
from envcheck.schema.gaps import GpuFeatures
from envcheck.schema.paste import compiled
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


def devices_of(snapshot: Snapshot) -> tuple[Device, ...]:
    """All GPUs of a snapshot, discrete ones first; where nobody looked, the graphics of the processor that is named."""
    found = tuple(_device(gpu) for gpu in value_of(snapshot.gpus) or ())
    return found or (tuple(_inside(snapshot.cpu.name)) if isinstance(snapshot.gpus, Unknown) else ())


def _inside(processor: TextFact) -> Iterator[Device]:
    """The graphics inside a processor, by its own name ("w/ Radeon 780M Graphics") or by the table."""
    if not isinstance(processor, Known):
        return
    said = _RADEON.search(processor.value)
    rows = load("gpu_features", GpuFeatures).integrated
    row = next((row for row in rows if compiled(row.match).search(processor.value)), None)
    product = find(said.group()) if said else find(row.gpu) if row and not row.gfx else None
    gfx = product.gfx if product and product.kind == "integrated" else row.gfx if row and not said else ""
    if gfx:
        yield Device(
            number=0,
            vendor="amd",
            kind="integrated",
            name=product.name if product else row.gpu if row else "",
            capability=None,
            gfx=gfx,
            memory_mib=None,
            free_mib=None,
            memory_read=False,
            fact=processor,
        )


_RADEON = re.compile(r"Radeon (?:\d{3}M|\d{4}S)", re.IGNORECASE)


def _target(capability: Version) -> str:
    """The gfx target that torch printed as a compute capability; "" where several are possible."""
    rows = load("gpu_features", GpuFeatures).rocm_capability
    return next((row.gfx for row in rows if version(row.compute_capability) == capability), "")


def _device(gpu: Gpu) -> Device:
    name = value_of(gpu.name) or ""
    memory = value_of(gpu.memory_total_mib)
    row = find(name, memory) if name else None
    capability = version(value_of(gpu.compute_capability))
    gfx = value_of(gpu.gfx) or ""
    if gpu.vendor == "amd" and capability:
        gfx = gfx or _target(capability[:2])
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
