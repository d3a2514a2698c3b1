"""What a GPU can run, from its own reading or, where that is missing, from the hardware table by its name."""

from __future__ import annotations

from envcheck.schema.facts import Known, TextFact, Unknown
from envcheck.schema.snapshot import Gpu


def capability_of(gpu: Gpu) -> TextFact:
    """Compute capability ("8.9") of an NVIDIA GPU."""
    return _read(gpu, gpu.compute_capability, "compute_capability")


def gfx_of(gpu: Gpu) -> TextFact:
    """Target ("gfx1100") of an AMD GPU."""
    return _read(gpu, gpu.gfx, "gfx")


def _read(gpu: Gpu, fact: TextFact, column: str) -> TextFact:
    if not isinstance(fact, Unknown) or not isinstance(gpu.name, Known):
        return fact
    from envcheck import hardware

    memory = gpu.memory_total_mib
    row = hardware.find(gpu.name.value, memory.value if isinstance(memory, Known) else None)
    value = getattr(row, column) if row else None
    return Known(value=value, source=f"hardware table, {gpu.name.value}") if value else fact
