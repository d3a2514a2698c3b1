"""Rows of `requirements_matrix/pins.toml`: what releases of packages ask of the packages around them."""

from __future__ import annotations

import msgspec

from envcheck.schema.facts import Record
from envcheck.schema.requirement import Sourced


class Pins(Sourced):
    """The requirements that all releases from `first` to `last` state in their metadata."""

    package: str
    first: str
    last: str = ""
    """Empty where the row holds for `first` alone."""
    python: str = ""
    """`Requires-Python`."""
    requires: dict[str, str] = msgspec.field(default_factory=dict)
    """Distribution to specifier."""


class PinTable(Record):
    """The whole file; the rows of one package stand together, newest first."""

    pins: tuple[Pins, ...]


class Pair(Sourced):
    """Two packages that do not work together in some versions although no metadata says so."""

    package: str
    versions: str
    """Specifier on `package`."""
    beside: str
    beside_versions: str
    """Specifier on `beside`."""
    says: str
    """What `beside` does that breaks `package`, as the end of a sentence."""
    models: str = ""
    """Searched in the model's name; empty where every model meets it."""


class Incompatible(Record):
    """`incompatible.toml`."""

    pair: tuple[Pair, ...]


class ExtensionWheels(Sourced):
    """The torch releases for which a release of a compiled extension has binaries."""

    package: str
    first: str
    """The row holds for this release and newer ones, up to the next row."""
    torch: tuple[str, ...]
    """torch minors ("2.4"); pre-releases are left out."""


class FirstForNumpy2(Sourced):
    """The first release of a compiled package whose wheels run under NumPy 2."""

    package: str
    version: str
    windows: str = ""
    """Where the Windows wheels came later."""


class GlibcFloor(Sourced):
    """The oldest C library on which published binaries of a package run."""

    package: str
    versions: str
    """Specifier on the package."""
    glibc: str


class Binaries(Record):
    """`binaries.toml`: what compiled packages were made for, where their metadata does not say it."""

    extension: tuple[ExtensionWheels, ...]
    glibc: tuple[GlibcFloor, ...]
    numpy_2: tuple[FirstForNumpy2, ...]


class Generation(Sourced):
    """The first CUDA toolkit whose nvcc compiles for a compute capability and those above it, up to the next row."""

    compute_capability: str
    first: str


class HostCompiler(Sourced):
    """The newest GCC major that toolkits from `first` on accept, up to the next row."""

    first: str
    gcc: int


class SourceBuild(Sourced):
    """The oldest nvcc that the build script of a package takes, for releases from `first` on, up to the next row."""

    package: str
    first: str
    nvcc: str


class Toolkits(Record):
    """`toolkits.toml`, every table newest first."""

    generation: tuple[Generation, ...]
    host_compiler: tuple[HostCompiler, ...]
    triton: tuple[Generation, ...]
    """`first` is a release of Triton here: the first whose own ptxas knows the capability, and no other."""
    source_build: tuple[SourceBuild, ...]
