"""How much memory an engine's processes take while it works, sampled beside the prompt.

Main memory is the proportional set size (PSS) of the whole process tree, because shared pages would be counted once
per process otherwise (Documentation/filesystems/proc.rst, smaps_rollup); RSS where the kernel does not give PSS.
GPU memory is what NVML attributes to those processes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from envcheck.schema.facts import Record

PERIOD_S = 0.1
MIB = 1024 * 1024


class Peak(Record):
    """The largest sums seen, MiB; None where nothing could be read."""

    ram_mib: float | None = None
    vram_mib: float | None = None
    ram_basis: str = ""
    """"pss" or "rss"."""


def tree(pids: tuple[int, ...]) -> tuple[int, ...]:
    """The processes and everything they started, as far as this user may see."""
    import psutil

    found: dict[int, None] = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            found[pid] = None
            found.update((child.pid, None) for child in process.children(recursive=True))
    return tuple(found)


def ram_mib(pids: tuple[int, ...]) -> tuple[float | None, str]:
    """Sum over processes, and "pss" or "rss" ("rss" as soon as one process gives no PSS)."""
    import psutil

    total, basis, seen = 0.0, "pss", False
    for pid in pids:
        pss = _pss_mib(pid)
        if pss is None:
            try:
                pss, basis = psutil.Process(pid).memory_info().rss / MIB, "rss"
            except psutil.Error:
                continue
        total += pss
        seen = True
    return (total, basis) if seen else (None, "")


def _pss_mib(pid: int) -> float | None:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) / 1024
    except (OSError, ValueError, IndexError):
        return None
    return None


def nvml_reader() -> Callable[[tuple[int, ...]], float | None] | None:
    """A function from process ids to their GPU memory in MiB, or None where NVML is not usable."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # noqa: BLE001  no driver, no library, no permission: all mean that there is no reading
        return None
    return lambda pids: _nvml_mib(pynvml, handles, pids)


def _nvml_mib(pynvml: Any, handles: list[Any], pids: tuple[int, ...]) -> float | None:
    total, known = 0.0, False
    for handle in handles:
        try:
            running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except pynvml.NVMLError:  # per device: one that cannot tell does not silence the others
            continue
        for process in running:
            if process.usedGpuMemory is not None:  # None on Windows and WSL, where the OS owns the memory
                known = True
                total += process.usedGpuMemory / MIB if process.pid in pids else 0.0
    return total if known else None


def gpu_used_mib() -> float | None:
    """Used memory of all GPUs together as the driver counts it, MiB; None where NVML is not usable."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        used = [pynvml.nvmlDeviceGetMemoryInfo(handle).used / MIB for handle in handles]
    except Exception:  # noqa: BLE001  no driver, no library, no permission: all mean that there is no reading
        return None
    return round(sum(used), 1) if used else None


def nvidia_used_mib() -> float | None:
    """The same, only where NVIDIA's are the only GPUs that an engine could mean; None otherwise."""
    return None if Path("/dev/kfd").exists() else gpu_used_mib()


class Watch:
    """Samples in a thread from `with` to its end; `peak` may be read at any time."""

    def __init__(self, pids: tuple[int, ...], read_vram: Callable[[tuple[int, ...]], float | None] | None) -> None:
        self._pids = pids
        self._read_vram = read_vram
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_done, daemon=True)
        self.peak = Peak()

    def __enter__(self) -> Watch:
        if self._pids:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._pids:
            self._thread.join(timeout=2.0)

    def _sample_until_done(self) -> None:
        while True:
            self._sample()
            if self._done.wait(PERIOD_S):
                return

    def _sample(self) -> None:
        started = time.monotonic()
        pids = tree(self._pids)
        ram, basis = ram_mib(pids)
        vram = self._read_vram(pids) if self._read_vram else None
        self.peak = Peak(
            ram_mib=_larger(self.peak.ram_mib, ram),
            vram_mib=_larger(self.peak.vram_mib, vram),
            ram_basis=basis or self.peak.ram_basis,
        )
        self._done.wait(min(time.monotonic() - started, 1.0))  # never more than half of the time is spent looking


def _larger(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
