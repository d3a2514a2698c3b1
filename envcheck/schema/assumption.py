"""A hypothetical or partly known machine, as a person writes it in TOML or JSON. Every key is optional."""

from __future__ import annotations

from typing import Literal

import msgspec

from envcheck.schema.facts import Record


class AssumedGpu(Record):
    """One GPU; what is left out is looked up by name in the hardware table."""

    name: str
    memory_gib: float | None = None
    memory_free_gib: float | None = None
    compute_capability: str | None = None
    gfx: str | None = None
    mig: str | bool | None = None
    """MIG profile ("1g.10gb"), or whether MIG is on."""


class Assumption(Record):
    """The keys of an `--assume` file. Left out means unknown; an empty list or table means "none"."""

    alias: str | None = None
    os: Literal["linux", "windows", "macos"] | None = None
    distro: str | None = None
    kernel: str | None = None
    arch: str | None = None
    glibc: str | None = None
    wsl: bool | None = None
    container: bool | None = None
    python: str | None = None
    cpu: str | None = None
    cpu_flags: tuple[str, ...] | None = None
    cores: int | None = None
    ram_gib: float | None = None
    ram_free_gib: float | None = None
    disk_free_gib: float | None = None
    shm_gib: float | None = None
    gpus: tuple[AssumedGpu, ...] | None = None
    driver: str | None = None
    cuda_driver: str | None = None
    cuda_toolkit: str | None = None
    rocm: str | None = None
    packages: dict[str, str] | None = None
    env: dict[str, str] | None = None
    docker: str | None = None
    nvidia_container_toolkit: str | bool | None = None
    ollama: str | None = None
    services: dict[str, str] | None = None
    notes: str = msgspec.field(default="")
    """Free text for people; nothing reads it."""
