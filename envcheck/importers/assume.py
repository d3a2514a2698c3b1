"""A hypothetical machine (`--assume FILE`) as a snapshot. Pure: text in, snapshot out.

What the file states is known with the source "assumed"; what the hardware table adds says so; the rest is unknown.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from envcheck import hardware
from envcheck.schema.assumption import AssumedGpu, Assumption
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Absent, Known, Unknown
from envcheck.schema.hardware import HardwareRow
from envcheck.schema.snapshot import (
    Amd,
    Apple,
    BackendPresence,
    Containers,
    Cpu,
    Disk,
    DiskSpace,
    Gpu,
    GpusFact,
    Intel,
    Memory,
    Nvidia,
    Os,
    Package,
    Python,
    Service,
    Snapshot,
    Toolchain,
    Vendor,
)

T = TypeVar("T")
SOURCE = "assumed"
_LEFT_OUT = Unknown(why="not stated in the assumed machine")
_DECLARED_ABSENT = Absent(source=SOURCE)
_VENDORS: dict[str, Vendor] = {"nvidia": "nvidia", "amd": "amd", "intel": "intel", "apple": "apple"}


def read(text: str, name: str) -> Assumption:
    """Decode the text of an `--assume` file: JSON when it starts with a brace, else TOML. `name` is for messages."""
    try:
        if text.lstrip("\ufeff \t\r\n").startswith("{"):
            raw: Any = msgspec.json.decode(text.lstrip("\ufeff"))
        else:
            import tomllib

            raw = tomllib.loads(text)
        return msgspec.convert(raw, Assumption)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{name}: {error}. Keys and types of an assumed machine: README, 'A machine you do not have'."
        ) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{name} is neither TOML nor JSON ({error}): write it like tests/machines/*.toml.") from None


def to_snapshot(assumed: Assumption) -> Snapshot:
    """The snapshot that the assumption states."""
    by_vendor = _gpus(assumed)
    return Snapshot(
        origin="assumed",
        os=_os(assumed),
        cpu=Cpu(
            name=_known(assumed.cpu),
            cores=_known(assumed.cores),
            flags=_known(None if assumed.cpu_flags is None else tuple(f.lower() for f in assumed.cpu_flags)),
        ),
        memory=Memory(
            ram_total_mib=_mib(assumed.ram_gib),
            ram_available_mib=_mib(assumed.ram_free_gib),
            shm_total_mib=_mib(assumed.shm_gib),
            shm_free_mib=_mib(assumed.shm_gib),
        ),
        disk=_disk(assumed),
        nvidia=_nvidia(assumed, by_vendor["nvidia"]),
        amd=Amd(rocm=_known(assumed.rocm), gpus=by_vendor["amd"]),
        intel=Intel(gpus=by_vendor["intel"]),
        apple=Apple(gpus=by_vendor["apple"]),
        python=Python(version=_known(assumed.python), packages=_packages(assumed.packages)),
        toolchain=Toolchain(nvcc=_known(assumed.cuda_toolkit)),
        environment=_known(assumed.env),
        containers=_containers(assumed),
        backends=_backends(assumed),
        services=_services(assumed),
    )


def _known(value: T | None) -> Known[T] | Unknown:
    return _LEFT_OUT if value is None else Known(value=value, source=SOURCE)


def _mib(gib: float | None) -> Known[int] | Unknown:
    return _LEFT_OUT if gib is None else Known(value=round(gib * 1024), source=SOURCE)


def _os(assumed: Assumption) -> Os:
    container = assumed.container
    arch = assumed.arch or ("arm64" if assumed.os == "macos" else None)
    return Os(
        family=_known(assumed.os or ("linux" if assumed.wsl or assumed.glibc else None)),
        distro=_known(assumed.distro),
        kernel=_known(assumed.kernel),
        arch=_known(arch),
        libc=_known("glibc" if assumed.glibc else None),
        glibc=_known(assumed.glibc),
        wsl=_known(assumed.wsl),
        container=_LEFT_OUT
        if container is None
        else Known(value="container", source=SOURCE)
        if container
        else _DECLARED_ABSENT,
    )


def _disk(assumed: Assumption) -> Disk:
    if assumed.disk_free_gib is None:
        return Disk()
    free = _mib(assumed.disk_free_gib)
    return Disk(spaces=tuple(DiskSpace(purpose=p, free_mib=free) for p in ("target", "models")))


def _packages(packages: dict[str, str] | None) -> Known[tuple[Package, ...]] | Unknown:
    if packages is None:
        return _LEFT_OUT
    rows = (Package(name=_normalised(name), version=version) for name, version in packages.items())
    return Known(value=tuple(sorted(rows, key=lambda p: p.name)), source=SOURCE)


def _normalised(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _containers(assumed: Assumption) -> Containers:
    toolkit = assumed.nvidia_container_toolkit
    if isinstance(toolkit, bool):
        toolkit_fact = Known(value="installed", source=SOURCE) if toolkit else _DECLARED_ABSENT
        return Containers(
            docker_client=_known(assumed.docker),
            docker_engine=_known(assumed.docker),
            nvidia_container_toolkit=toolkit_fact,
        )
    return Containers(
        docker_client=_known(assumed.docker),
        docker_engine=_known(assumed.docker),
        nvidia_container_toolkit=_known(toolkit),
    )


def _backends(assumed: Assumption) -> Known[tuple[BackendPresence, ...]] | Unknown:
    if assumed.ollama is None:
        return _LEFT_OUT
    return Known(value=(BackendPresence(name="ollama", binary=_known(assumed.ollama)),), source=SOURCE)


def _services(assumed: Assumption) -> Known[tuple[Service, ...]] | Unknown:
    if assumed.services is None:
        return _LEFT_OUT
    rows = tuple(Service(name=name, version=_known(version)) for name, version in sorted(assumed.services.items()))
    return Known(value=rows, source=SOURCE)


def _nvidia(assumed: Assumption, gpus: GpusFact) -> Nvidia:
    if isinstance(gpus, Absent) and assumed.driver is None:
        return Nvidia(driver=_DECLARED_ABSENT, cuda_driver=_DECLARED_ABSENT, gpus=gpus)
    ready = isinstance(gpus, Known) and assumed.driver is not None
    return Nvidia(
        driver=_known(assumed.driver),
        cuda_driver=_known(assumed.cuda_driver),
        state=Known(value="ready", source=SOURCE) if ready else _LEFT_OUT,
        gpus=gpus,
    )


def _gpus(assumed: Assumption) -> dict[Vendor, GpusFact]:
    if assumed.gpus is None:
        return dict.fromkeys(_VENDORS.values(), _LEFT_OUT)
    by_vendor: dict[Vendor, list[Gpu]] = {vendor: [] for vendor in _VENDORS.values()}
    for stated in assumed.gpus:
        row = hardware.find(stated.name, None if stated.memory_gib is None else round(stated.memory_gib * 1024))
        vendor = _vendor(stated, row)
        by_vendor[vendor].append(_gpu(stated, row, vendor, len(by_vendor[vendor])))
    return {
        v: Known(value=tuple(found), source=SOURCE) if found else _DECLARED_ABSENT for v, found in by_vendor.items()
    }


def _vendor(stated: AssumedGpu, row: HardwareRow | None) -> Vendor:
    if row is not None and row.vendor.lower() in _VENDORS:
        return _VENDORS[row.vendor.lower()]
    if stated.gfx:
        return "amd"
    if stated.compute_capability:
        return "nvidia"
    words = set(re.findall(r"[a-z]+", stated.name.lower()))
    for vendor, signs in (("amd", {"amd", "radeon", "instinct"}), ("intel", {"intel", "arc"}), ("apple", {"apple"})):
        if words & signs:
            return _VENDORS[vendor]
    if words & {"nvidia", "geforce", "rtx", "gtx", "tesla", "quadro", "titan"}:
        return "nvidia"
    raise InputError(
        f"The GPU {stated.name!r} is not in the hardware table and its name does not say whose it is: "
        "add compute_capability (NVIDIA) or gfx (AMD), or name the vendor."
    )


def _gpu(stated: AssumedGpu, row: HardwareRow | None, vendor: Vendor, index: int) -> Gpu:
    capability, gfx = stated.compute_capability, stated.gfx
    mig = stated.mig
    return Gpu(
        index=index,
        vendor=vendor,
        name=Known(value=stated.name, source=SOURCE),
        kind="unknown" if row is None else "integrated" if row.kind in ("integrated", "soc") else "discrete",
        memory_total_mib=_mib(stated.memory_gib) if stated.memory_gib else _looked_up(stated, row, "memory_mib"),
        memory_free_mib=_mib(stated.memory_free_gib),
        compute_capability=_DECLARED_ABSENT
        if vendor != "nvidia"
        else _known(capability)
        if capability
        else _looked_up(stated, row, "compute_capability"),
        gfx=_DECLARED_ABSENT if vendor != "amd" else _known(gfx) if gfx else _looked_up(stated, row, "gfx"),
        memory_bus_bits=_looked_up(stated, row, "bus_bits"),
        power_limit_w=_looked_up(stated, row, "tdp_w"),
        mig_mode=_LEFT_OUT if mig is None else Known(value=bool(mig), source=SOURCE),
        mig_slices=Known(value=(mig,), source=SOURCE) if isinstance(mig, str) else _LEFT_OUT,
    )


def _looked_up(stated: AssumedGpu, row: HardwareRow | None, column: str) -> Known[Any] | Unknown:
    """A figure of the hardware table, with its address and date."""
    if row is None:
        return Unknown(why=f"{stated.name!r} is not in the hardware table")
    value = getattr(row, column)
    if value is None:
        return Unknown(why=f"the hardware table has no {column} for {row.name}")
    return Known(value=value, source=f"hardware table ({row.source}, {row.checked})")
