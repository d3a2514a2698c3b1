"""Typed questions to the shared tables: drivers, torch wheels, gfx lists, quantization kernels, variables.

Every answer that depends on a fact nobody read is None ("cannot tell"), never False.
"""

from __future__ import annotations

from envcheck.judge import versions
from envcheck.judge.rows import load
from envcheck.schema.facts import Record
from envcheck.schema.tables import (
    ArchList,
    Distros,
    DriverFloor,
    Drivers,
    GfxList,
    KernelRow,
    Kernels,
    PackageGroup,
    Packages,
    Platform,
    Rocm,
    TorchRelease,
    TorchWheels,
    VariableRow,
    Variables,
)


def drivers() -> Drivers:
    """The driver tables, newest CUDA first."""
    return load("drivers", Drivers)


def torch_wheels() -> TorchWheels:
    """The torch tables, newest release first."""
    return load("torch_wheels", TorchWheels)


def package_groups() -> tuple[PackageGroup, ...]:
    """The package groups of a report (core ML, web framework …) with required and recommended versions."""
    return load("packages", Packages).group


# --- drivers ---------------------------------------------------------------------------------------------------------


def driver_floor(cuda: str) -> DriverFloor | None:
    """The oldest driver that runs runtime `cuda` ("12.8") by minor-version compatibility; None before CUDA 10.0."""
    major = cuda.split(".")[0]
    for row in drivers().floor:
        if row.cuda == major or ("." in row.cuda and cuda.startswith(row.cuda)):
            return row
    return None


def newest_cuda(driver: str, *, windows: bool) -> str | None:
    """The newest CUDA version that `driver` serves in full; None for a driver older than the table."""
    full = of_branch(driver)
    for row in drivers().toolkit:
        floor = row.windows if windows else row.linux
        if floor and not row.update and versions.at_least(full, floor):
            return row.cuda
    return None


def of_branch(driver: str) -> str:
    """A driver known by its branch alone ("535") as the newest of that branch; others as they are."""
    return driver if "." in driver else f"{driver}.999"


def driver_for(cuda: str, *, windows: bool) -> str | None:
    """The driver released with toolkit `cuda` ("12.8"), which serves it in full; None where the table has none."""
    found = [row for row in drivers().toolkit if row.cuda == cuda and not row.update]
    return (found[0].windows if windows else found[0].linux) or None if found else None


class Serving(Record):
    """Whether a driver serves a CUDA runtime."""

    runs: bool | None
    """None where the facts do not say."""
    in_full: bool | None
    """False under minor-version compatibility: machine code runs, PTX of that CUDA version may not."""
    needs: str
    """The floor as text ("525.60.13")."""
    source: str


def serving(cuda: str, *, driver: str | None, cuda_driver: str | None, windows: bool | None) -> Serving:
    """Whether runtime `cuda` runs on a driver known by its version, by the CUDA version it reports, or by both.

    `windows` is None where the operating system is unknown: the answer then holds only if both tables agree.
    """
    floor = driver_floor(cuda)
    if floor is None:
        return Serving(runs=None, in_full=None, needs="", source="")
    needs = {True: floor.windows, False: floor.linux, None: f"{floor.linux} (Windows {floor.windows})"}[windows]
    if cuda_driver is not None:
        in_full = versions.at_least(cuda_driver, _two(cuda))
        major = versions.at_least(cuda_driver, cuda.split(".")[0])
        return Serving(runs=major, in_full=in_full, needs=needs, source=floor.source)
    if driver is None:
        return Serving(runs=None, in_full=None, needs=needs, source=floor.source)
    sides = [True, False] if windows is None else [windows]
    full_version = of_branch(driver)
    runs = {versions.at_least(full_version, floor.windows if side else floor.linux) for side in sides}
    full = {versions.at_least(newest_cuda(driver, windows=side) or "0", _two(cuda)) for side in sides}
    return Serving(
        runs=runs.pop() if len(runs) == 1 else None,
        in_full=full.pop() if len(full) == 1 else None,
        needs=needs,
        source=floor.source,
    )


def _two(version: str) -> str:
    return ".".join(version.split(".")[:2])


# --- torch wheels ----------------------------------------------------------------------------------------------------


def cuda_of(variant: str) -> str | None:
    """The CUDA version of an index tag: "cu126" is 12.6, "cu92" is 9.2; None for other tags."""
    digits = variant.removeprefix("cu")
    return f"{digits[:-1]}.{digits[-1]}" if variant.startswith("cu") and digits.isdigit() else None


def torch_release(version: str) -> TorchRelease | None:
    """The table's row for an installed torch ("2.7.0+cu128", "2.9.0a0+git1"); None where the line is not listed."""
    line = ".".join(versions.base(version).split(".")[:2])
    return next((row for row in torch_wheels().release if row.line == line), None)


def torch_variant(version: str, platform: Platform | None = "linux_x86_64") -> str | None:
    """The index tag of an installed torch: its local label, else the one that PyPI serves for `platform`."""
    label = versions.local(version)
    if label:
        return label.split(".")[0] if label.startswith("cu") else label
    row = torch_release(version)
    if row is None or platform is None:
        return None
    return {"linux_x86_64": row.pypi, "linux_aarch64": row.pypi_aarch64}.get(platform, "cpu")


def arch_list(version: str, variant: str, platform: Platform = "linux_x86_64") -> ArchList | None:
    """Architectures compiled into torch `version` of `variant` for `platform`; None where the table does not say."""
    for row in torch_wheels().arch_list:
        if (
            row.variant == variant
            and row.platform == platform
            and versions.within(versions.base(version), row.releases)
        ):
            return row
    return None


def kernels_serve(capability: str, kernels: tuple[str, ...], ptx: str = "") -> bool | None:
    """Whether code compiled for `kernels` runs on a GPU of `capability` ("8.9"); None where a number cannot be read.

    Machine code runs on the same major with an equal or higher minor version; PTX of any earlier architecture can be
    compiled by the driver (CUDA C++ programming guide, "Binary compatibility" and "PTX compatibility").
    """
    mine = _pair(capability)
    theirs = [_pair(kernel) for kernel in kernels]
    if mine is None or None in theirs:
        return None
    native = any(pair is not None and pair[0] == mine[0] and pair[1] <= mine[1] for pair in theirs)
    virtual = _pair(ptx) if ptx else None
    return native or (virtual is not None and virtual <= mine)


def _pair(capability: str) -> tuple[int, int] | None:
    major, _, minor = capability[:10].partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


# --- AMD -------------------------------------------------------------------------------------------------------------


def gfx_list(consumer: str, os: str = "linux") -> GfxList | None:
    """AMD targets that a consumer carries code for: "ollama", "rocm:official"; torch's are in `arch_list`."""
    rows = load("rocm", Rocm).gfx_list
    return next((row for row in rows if row.consumer == consumer and row.os == os), None)


# --- distributions, variables, kernels -------------------------------------------------------------------------------


def glibc_of(distro: str) -> str | None:
    """The C library of a distribution release ("Ubuntu 22.04.5 LTS", "ubuntu-22.04"); None where it is not listed."""
    text = distro.lower().replace("-", " ").replace("_", " ")
    rows = load("distros", Distros).distro
    named = [row for row in rows if text == row.name or text.startswith((row.name + " ", row.name + "."))]
    return max(named, key=lambda row: len(row.name)).glibc if named else None


def variable_rows(name: str, value: str, backend: str) -> tuple[VariableRow, ...]:
    """What is known about a variable that is set to `value` where this backend runs; each row says its versions."""
    return tuple(
        row
        for row in load("variables", Variables).variable
        if row.name == name and row.backend == backend and (not row.values or value in row.values)
    )


def kernel_row(backend: str, kind: str, method: str, version: str | None, *, newest: bool = False) -> KernelRow | None:
    """The GPU floor of a quantization method, number format or attention kernel; None where the table is silent.

    Without a version only rows for every version speak, or, with `newest`, also those that hold for the newest.
    """
    wanted = method.lower().replace("-", "_")
    for row in load("quantization", Kernels).kernel:
        if (row.backend, row.kind, row.method) != (backend, kind, wanted):
            continue
        if not row.versions or (version is not None and versions.within(version, row.versions) is True):
            return row
        if newest and version is None and "<" not in row.versions:
            return row
    return None
