"""How much memory a machine has for a model, from its snapshot.

Free memory is believed where the machine itself was asked just now. On a hypothetical or imported machine the total
counts, less what the driver keeps: on NVIDIA cards CUDA offers 1 to 2.2 % less than `nvidia-smi` prints (24145 of
24576 MiB on an RTX 3090, 81090 of 81920 on an A100; vLLM start-up logs of 2024 and 2025).
"""

from __future__ import annotations

from envcheck.schema.facts import Absent, Known, Unknown, value_of
from envcheck.schema.fit import Device, Room
from envcheck.schema.snapshot import Gpu, Snapshot

DRIVER_SHARE = 0.02
"""Part of a card's memory that the driver keeps for itself."""
RAM_SHARE = 0.9
"""Part of the host's memory a process may take where only the total is known."""
APPLE_SHARE = 0.75
APPLE_SMALL_SHARE = 2 / 3
APPLE_SMALL_MIB = 36 * 1024
"""Metal's default working set (`recommendedMaxWorkingSetSize`): three quarters of memory, two thirds up to 36 GB."""

UNITS = frozenset({"avx", "avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd"})
"""Flags of vector units that the speed of arithmetic depends on."""


def of_snapshot(snapshot: Snapshot) -> Room:
    """The room of a machine; what the snapshot does not know is said in `assumptions` or left unknown."""
    ram, ram_note = _ram(snapshot)
    notes = [ram_note] if ram_note else []
    devices = []
    unknown = None
    gpus = snapshot.gpus
    if isinstance(gpus, Known):
        for gpu in gpus.value:
            device, note = _device(gpu, snapshot, ram)
            if device is not None:
                devices.append(device)
            if note:
                notes.append(note)
        if not devices:
            unknown = "the memory of its GPUs is not known"
    elif isinstance(gpus, Unknown):
        unknown = gpus.why
    return Room(
        devices=_usable(devices),
        ram_mib=ram,
        cores=value_of(snapshot.cpu.cores),
        cpu=value_of(snapshot.cpu.name),
        cpu_units=tuple(flag for flag in value_of(snapshot.cpu.flags) or () if flag in UNITS),
        ram_bandwidth_gbs=value_of(snapshot.cpu.memory_bandwidth_gbs),
        gpus_unknown=unknown,
        os_family=value_of(snapshot.os.family),
        assumptions=tuple(dict.fromkeys(notes)),
    )


def _usable(devices: list[Device]) -> tuple[Device, ...]:
    """Discrete cards where there are any: an integrated GPU beside them is not used for a model."""
    discrete = [device for device in devices if device.kind == "discrete"]
    return tuple(discrete or devices)


def _ram(snapshot: Snapshot) -> tuple[float | None, str | None]:
    memory = snapshot.memory
    total, free = value_of(memory.ram_total_mib), value_of(memory.ram_available_mib)
    limit = value_of(memory.cgroup_limit_mib)
    usable: float | None = free if free is not None else None
    note = None
    if usable is None and total is not None:
        usable, note = total * RAM_SHARE, "nine tenths of host memory taken as usable"
    if limit is not None:
        usable = limit if usable is None else min(usable, limit)
    return usable, note


def _device(gpu: Gpu, snapshot: Snapshot, ram: float | None) -> tuple[Device | None, str | None]:
    name = value_of(gpu.name) or f"GPU {gpu.index}"
    total, free = value_of(gpu.memory_total_mib), value_of(gpu.memory_free_mib)
    note = None
    if gpu.vendor == "apple":
        kind, total, available, note = _apple(snapshot)
    elif gpu.kind == "integrated" or isinstance(gpu.memory_total_mib, Absent):
        kind, available = "integrated", ram
        total = total or value_of(snapshot.memory.ram_total_mib)
    else:
        kind = "discrete"
        available, note = _discrete(gpu, total, free, name)
    if total is None or available is None:
        return None, f"the memory of {name} is not known, so it was left out"
    return (
        Device(
            index=gpu.index,
            name=name,
            vendor=gpu.vendor,
            kind="unified" if kind == "unified" else "integrated" if kind == "integrated" else "discrete",
            total_mib=total,
            available_mib=available,
            compute_capability=value_of(gpu.compute_capability),
        ),
        note,
    )


def _discrete(gpu: Gpu, total: int | None, free: int | None, name: str) -> tuple[float | None, str | None]:
    if free is not None:
        return float(free), None
    if total is None:
        return None, None
    reserved = value_of(gpu.memory_reserved_mib)
    if reserved is not None:
        return float(total - reserved), None
    return total * (1 - DRIVER_SHARE), f"all memory of {name} taken as free, less {DRIVER_SHARE:.0%} for the driver"


def _apple(snapshot: Snapshot) -> tuple[str, int | None, float | None, str | None]:
    total = value_of(snapshot.memory.ram_total_mib)
    working_set = value_of(snapshot.apple.metal_working_set_mib)
    if working_set is not None:
        return "unified", total or working_set, float(working_set), None
    if total is None:
        return "unified", None, None, None
    share = APPLE_SMALL_SHARE if total <= APPLE_SMALL_MIB else APPLE_SHARE
    return "unified", total, total * share, f"Metal's default limit of {share:.0%} of unified memory assumed"
