"""The tables that several backends share: torch wheels, drivers, ROCm targets, packages, variables, quantization."""

from __future__ import annotations

from typing import Literal

from envcheck.schema.facts import Record
from envcheck.schema.requirement import Sourced

Platform = Literal["linux_x86_64", "linux_aarch64", "windows_x86_64", "macos_arm64", "macos_x86_64"]


class TorchRelease(Sourced):
    """One line of torch releases, named by its newest patch."""

    line: str
    """"2.14"."""
    version: str
    """Newest patch, "2.14.1"."""
    python: tuple[str, ...]
    """Minor versions with wheels ("3.12"; "3.13t" is the free-threaded build)."""
    requires_python: str
    variants: tuple[str, ...]
    """Index tags at download.pytorch.org: "cpu", "cu126", "rocm7.2", "xpu"."""
    platforms: tuple[Platform, ...]
    pypi: str
    """Tag of the build that the Python Package Index serves for Linux x86_64."""
    pypi_cuda: str
    """CUDA runtime inside that build."""
    glibc: str
    """glibc floor in the Linux file name."""
    pypi_aarch64: str = "cpu"
    linux_x86_64_only: tuple[str, ...] = ()
    """Variants that are built, as far as is known, for Linux on x86_64 alone."""
    cudnn: str = ""
    triton: str = ""
    torchvision: str = ""
    """Line of torchvision that belongs to it ("0.29")."""
    torchaudio: str = ""


class ArchList(Sourced):
    """GPU architectures compiled into one variant of a range of torch releases."""

    releases: str
    """Specifier on the torch version."""
    variant: str
    platform: Platform
    kernels: tuple[str, ...]
    """Compute capabilities with machine code ("8.6"), or gfx targets for ROCm."""
    ptx: str = ""
    """Compute capability whose PTX is included, which a driver can compile for newer GPUs."""


class TorchWheels(Record):
    """`torch_wheels.toml`, newest release first."""

    release: tuple[TorchRelease, ...]
    arch_list: tuple[ArchList, ...]


class DriverFloor(Sourced):
    """The oldest driver that runs any runtime of a CUDA major (minor-version compatibility)."""

    cuda: str
    """Major ("12") or, before CUDA 11, the full version ("10.2")."""
    linux: str
    windows: str


class ToolkitDriver(Sourced):
    """The driver released with a CUDA toolkit: it serves that CUDA version in full."""

    cuda: str
    linux: str
    windows: str = ""
    update: str = ""


class Drivers(Record):
    """`drivers.toml`, newest CUDA first."""

    floor: tuple[DriverFloor, ...]
    toolkit: tuple[ToolkitDriver, ...]


class DriverInstall(Sourced):
    """How the driver gets onto a system."""

    match: str
    """Searched in the system's name; "" matches every system."""
    says: str
    """The end of a sentence that begins with what is to be installed."""


class DriverInstalls(Record):
    """`driver_installs.toml`; the first row that matches speaks."""

    install: tuple[DriverInstall, ...]


class GfxList(Sourced):
    """AMD targets that one consumer carries code for."""

    consumer: str
    """"torch:rocm7.2", "ollama", "rocm:official" …"""
    gfx: tuple[str, ...]
    os: Literal["linux", "windows"] = "linux"
    note: str = ""


class Distro(Sourced):
    """A distribution release and its C library, for machines that state only the distribution."""

    name: str
    """As os-release says it, lower case: "ubuntu 22.04"."""
    glibc: str


class Rocm(Record):
    """`rocm.toml`."""

    gfx_list: tuple[GfxList, ...]


class Distros(Record):
    """`distros.toml`."""

    distro: tuple[Distro, ...]


class PackageRow(Sourced):
    """One package of a group: the oldest usable version, the recommended one, and what the newest needs."""

    name: str
    required: str
    recommended: str
    python: str = ""
    """`Requires-Python` of the recommended version."""
    wheel: Literal["wheel", "pure", "sdist_only"] = "wheel"
    note: str = ""


class PackageGroup(Record):
    """A named group of packages, in the order in which a report shows them."""

    name: Literal["core_ml", "web", "vector_db", "data"]
    title: str
    package: tuple[PackageRow, ...]


class Packages(Record):
    """`packages.toml`."""

    group: tuple[PackageGroup, ...]


class VariableRow(Sourced):
    """What an environment variable does in a range of versions of its reader."""

    name: str
    backend: str
    effect: Literal["works", "deprecated", "none"]
    """"none": it is ignored in these versions."""
    says: str
    versions: str = ""
    values: tuple[str, ...] = ()
    """Narrows the row to these values; empty means any value."""
    reader: str = ""
    """Distribution whose version `versions` is about; empty means the backend's own."""
    instead: str = ""


class Variables(Record):
    """`variables.toml`."""

    variable: tuple[VariableRow, ...]


class KernelRow(Sourced):
    """The GPU floor of a quantization method, number format or attention kernel in a range of versions."""

    backend: str
    kind: Literal["quantization", "dtype", "attention"]
    method: str
    min_compute_capability: str
    native_from: str = ""
    """Compute capability from which the hardware computes in the format; below it the weights are unpacked."""
    below: str = ""
    """First compute capability that is no longer served."""
    vendors: tuple[str, ...] = ()
    """Vendors whose GPUs have a kernel; empty: not said."""
    versions: str = ""
    note: str = ""


class Kernels(Record):
    """`quantization.toml`."""

    kernel: tuple[KernelRow, ...]


class Published(Sourced):
    """Repositories of quantized models that one source lists."""

    repos: tuple[str, ...]


class Checkpoints(Record):
    """`quantized_checkpoints.toml`."""

    published: tuple[Published, ...]


class Recipe(Sourced):
    """One publisher's way of quantizing some models."""

    publishers: tuple[str, ...]
    """Owners of repositories, lower case; "" for names without an owner."""
    scheme: str
    parts: dict[str, str]
    """The format of each part of the weights; parts that are not named stay in 16 bit."""
    architectures: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    wide_attention: bool = False
    """Layers with attention, and the state layer before each, stay in 16 bit whole."""


class Recipes(Record):
    """`checkpoints.toml`, in the order in which recipes are tried."""

    recipe: tuple[Recipe, ...]
