"""Main memory, swap, shared memory, huge pages, and what control groups leave of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envcheck.probes import _cgroup
from envcheck.probes._values import mib, pick, present, table, text, whole
from envcheck.schema.facts import IntFact
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Memory

if TYPE_CHECKING:
    from envcheck.host import Host

_SHM = "/dev/shm"  # noqa: S108  looked at, never written
_FIELDS = ("MemTotal", "MemAvailable", "MemFree", "SwapTotal", "SwapFree", "HugePages_Total", "Hugepagesize")


def collect(host: Host) -> Evidence:
    """`/proc/meminfo`, control-group limits and the file system of `/dev/shm`; psutil where there is no `/proc`."""
    content = host.read("/proc/meminfo", 16384) or ""
    found = {
        name: int(number)
        for name, number in re.findall(r"^(\w+):\s+(\d{1,18})", content, re.MULTILINE)
        if name in _FIELDS
    }
    evidence: Evidence = {
        "meminfo": found,
        "cgroup_memory": _cgroup.memory_limits(host),
        "cgroup_cpu": _cgroup.cpu_limits(host),
        "transparent_huge_pages": _chosen(host.read("/sys/kernel/mm/transparent_hugepage/enabled", 200)),
        "shm": host.space(_SHM) if host.is_dir(_SHM) else None,
    }
    if not found and host.is_real:
        evidence["psutil"] = _from_psutil()
    return evidence


def _chosen(content: str | None) -> str:
    """The word in brackets of "always [madvise] never"."""
    found = re.search(r"\[(\w{1,20})\]", content or "")
    return found.group(1) if found else ""


def _from_psutil() -> dict[str, int]:
    import psutil

    memory = psutil.virtual_memory()
    return {"total": memory.total, "available": memory.available, "swap": psutil.swap_memory().total}


def parse(evidence: Evidence) -> Memory:
    """Sizes in MiB. The kernel's figures are the host's, also inside a container; the limit stands beside them."""
    seen = table(evidence)
    meminfo, other, shm = table(seen.get("meminfo")), table(seen.get("psutil")), table(seen.get("shm"))
    available = _kib(meminfo, "MemAvailable")
    return Memory(
        ram_total_mib=_sized(_kib(meminfo, "MemTotal"), other.get("total")),
        # Kernels before 3.14 have no MemAvailable; free memory is its lower bound.
        ram_available_mib=_sized(_kib(meminfo, "MemFree") if available is None else available, other.get("available")),
        swap_total_mib=_sized(_kib(meminfo, "SwapTotal"), other.get("swap")),
        cgroup_limit_mib=present("cgroup", mib(_cgroup.least_memory(seen.get("cgroup_memory")))),
        cgroup_cores=present("cgroup", _cgroup.least_cores(seen.get("cgroup_cpu"))),
        shm_total_mib=present(_SHM, mib(whole(shm.get("total"))), "the size of /dev/shm could not be read"),
        shm_free_mib=present(_SHM, mib(whole(shm.get("free"))), "the size of /dev/shm could not be read"),
        transparent_huge_pages=present(
            "/sys/kernel/mm/transparent_hugepage",
            text(seen.get("transparent_huge_pages"), 20),
            "the kernel does not show the setting",
        ),
        huge_pages=present("/proc/meminfo", whole(meminfo.get("HugePages_Total")), "/proc/meminfo could not be read"),
    )


def _kib(meminfo: Evidence, name: str) -> int | None:
    number = whole(meminfo.get(name))
    return None if number is None or number < 0 else number // 1024


def _sized(from_proc: int | None, from_psutil: object) -> IntFact:
    return pick(
        [("/proc/meminfo", from_proc), ("psutil", mib(whole(from_psutil)))], "no source gave the size of the memory"
    )


PROBE = Probe(section="memory", collect=collect, parse=parse)
