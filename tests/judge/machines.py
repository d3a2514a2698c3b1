"""Small machines for the judge's tests, built from a few words."""

from __future__ import annotations

from typing import Any

from envcheck.schema.facts import NOT_READ, Absent, Known, Unknown
from envcheck.schema.snapshot import (
    Amd,
    Apple,
    BackendPresence,
    Containers,
    Cpu,
    Gpu,
    Intel,
    Memory,
    Nvidia,
    Os,
    Package,
    Python,
    Snapshot,
)

SOURCE = "test machine"
NONE = Absent(source=SOURCE)


def known(value: Any) -> Any:
    """A fact: None is "not read"."""
    return NOT_READ if value is None else Known(value=value, source=SOURCE)


def nvidia_gpu(capability: str | None, index: int = 0, name: str = "") -> Gpu:
    """One discrete NVIDIA card."""
    return Gpu(
        index=index,
        vendor="nvidia",
        kind="discrete",
        name=known(name or f"card {capability}"),
        memory_total_mib=known(24576),
        compute_capability=known(capability),
    )


def amd_gpu(gfx: str | None, index: int = 0) -> Gpu:
    """One discrete AMD card."""
    return Gpu(index=index, vendor="amd", kind="discrete", name=known(f"card {gfx}"), gfx=known(gfx))


def machine(
    *,
    capabilities: tuple[str | None, ...] = (),
    gfx: tuple[str | None, ...] = (),
    gpus_known: bool = True,
    driver: str | None = None,
    cuda_driver: str | None = None,
    state: str | None = None,
    family: str | None = "linux",
    arch: str | None = "x86_64",
    glibc: str | None = "2.39",
    libc: str | None = "glibc",
    distro: str | None = None,
    wsl: bool | None = False,
    python: str | None = "3.12.4",
    packages: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
    flags: tuple[str, ...] | None = ("avx2", "avx512f"),
    programs: dict[str, str | None] | None = None,
) -> Snapshot:
    """A snapshot in which everything named is known, everything else unknown, and unnamed GPUs are absent."""
    no_gpu: Any = NONE if gpus_known else Unknown(why="the GPUs were not read")
    cards = tuple(nvidia_gpu(capability, i) for i, capability in enumerate(capabilities))
    amd_cards = tuple(amd_gpu(target, i) for i, target in enumerate(gfx))
    if driver is None and cuda_driver is None and not cards and gpus_known:
        driver_fact: Any = NONE
    else:
        driver_fact = known(driver)
    rows = tuple(Package(name=name, version=version) for name, version in sorted((packages or {}).items()))
    looked = {"llama.cpp": None, "ollama": None} | (programs or {})
    presences = tuple(
        BackendPresence(name=name, binary=known(v) if v else NONE, server=NONE) for name, v in looked.items()
    )
    return Snapshot(
        os=Os(
            family=known(family),
            arch=known(arch),
            glibc=known(glibc),
            libc=known(libc),
            distro=known(distro),
            wsl=known(wsl),
        ),
        cpu=Cpu(flags=known(flags)),
        memory=Memory(ram_total_mib=known(65536), shm_total_mib=known(32768)),
        nvidia=Nvidia(
            driver=driver_fact,
            cuda_driver=known(cuda_driver) if cuda_driver or not isinstance(driver_fact, Absent) else NONE,
            state=known(state or ("ready" if driver or cuda_driver else None)),
            gpus=known(cards) if cards else no_gpu,
        ),
        amd=Amd(gpus=known(amd_cards) if amd_cards else no_gpu),
        intel=Intel(gpus=no_gpu),
        apple=Apple(gpus=no_gpu),
        python=Python(version=known(python), packages=known(rows) if packages is not None else NOT_READ),
        environment=known(env or {}),
        containers=Containers(docker_engine=NONE),
        backends=known(presences),
    )
