"""Tables of what is missing: kernels for a type of device, instruction sets of old CPUs."""

from __future__ import annotations

from typing import Literal

from envcheck.schema.facts import Record
from envcheck.schema.requirement import Sourced


class KernelGap(Sourced):
    """A quantization method for which a backend has no kernels on a type of device."""

    backend: str
    method: str
    device: Literal["amd", "cpu"]
    certain: bool = True
    """False where some releases or builds have them."""
    note: str = ""


class ExtensionWheel(Sourced):
    """The GPUs for which the published wheels of a compiled extension have machine code."""

    package: str
    backend: str
    """The backend that cannot do without it."""
    since: str
    """First version of the backend that builds on it."""
    kernels: tuple[str, ...]
    """Compute capabilities ("8.0")."""


class KernelGaps(Record):
    """`kernel_gaps.toml`."""

    gap: tuple[KernelGap, ...]
    extension: tuple[ExtensionWheel, ...]


class OldCpu(Sourced):
    """A line of CPUs, by the pattern of its names, and the oldest instruction set it lacks."""

    match: str
    lacks: Literal["AVX", "AVX2"]
    notes: str = ""


class OldCpus(Record):
    """`cpu_features.toml`."""

    cpu: tuple[OldCpu, ...]
