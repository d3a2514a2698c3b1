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


class PtxKernels(Sourced):
    """A backend whose releases for these versions of torch bring kernels as PTX alone."""

    backend: str
    torch: str
    """Specifier on torch."""


class KernelGaps(Record):
    """`kernel_gaps.toml`."""

    gap: tuple[KernelGap, ...]
    extension: tuple[ExtensionWheel, ...]
    ptx: tuple[PtxKernels, ...]


class OldCpu(Sourced):
    """A line of CPUs, by the pattern of its names, and the oldest instruction set it lacks."""

    match: str
    lacks: Literal["AVX", "AVX2"]
    notes: str = ""


class SharedMemory(Sourced):
    """A generation of NVIDIA GPUs whose blocks of threads get little shared memory."""

    compute_capability: str
    kib: int


class PcieOnly(Sourced):
    """Cards without a link of their own between them, by the pattern of their names."""

    match: str
    notes: str = ""


class RocmCapability(Sourced):
    """The gfx target behind what torch prints as compute capability on ROCm."""

    compute_capability: str
    gfx: str


class IntegratedGpu(Sourced):
    """The graphics inside a processor, by the pattern of the processor's names."""

    match: str
    gpu: str
    """The product's name; its target is that of the hardware table, or `gfx` where that does not list it."""
    gfx: str = ""


class GpuFeatures(Record):
    """`gpu_features.toml`."""

    shared_memory: tuple[SharedMemory, ...]
    pcie_only: tuple[PcieOnly, ...]
    rocm_capability: tuple[RocmCapability, ...]
    integrated: tuple[IntegratedGpu, ...]


class OldCpus(Record):
    """`cpu_features.toml`."""

    cpu: tuple[OldCpu, ...]
