"""What control groups (v1 and v2) leave this process of memory and processor time.

The tightest limit on the way from the process's own group to the root counts: the kernel enforces all of them
(Documentation/admin-guide/cgroup-v2.rst, "memory.max", "cpu.max"). Group names hold user and container ids and are not
kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envcheck.probes._values import table, texts, whole

if TYPE_CHECKING:
    from envcheck.host import Host

_ROOT = "/sys/fs/cgroup"
_V1_UNLIMITED = 2**60
"""cgroup v1 writes "no limit" as the largest page-aligned number; no machine has an exbibyte of memory."""


def memory_limits(host: Host) -> list[str]:
    """The limits met on the way to the root, as the files hold them ("max", "8589934592")."""
    return _walk(host, "memory", "memory.max", "memory.limit_in_bytes")


def cpu_limits(host: Host) -> list[str]:
    """Quota and period on the way to the root: "200000 100000", "max 100000", "-1 100000" (microseconds)."""
    found = _walk(host, "cpu", "cpu.max", "")
    quotas = _walk(host, "cpu", "", "cpu.cfs_quota_us")
    periods = _walk(host, "cpu", "", "cpu.cfs_period_us")
    return found + [f"{quota} {period}" for quota, period in zip(quotas, periods, strict=False)]


def _walk(host: Host, controller: str, v2: str, v1: str) -> list[str]:
    found: list[str] = []
    for line in (host.read("/proc/self/cgroup", 8192) or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            folder, name = _ROOT, v2
            if name and not host.exists(f"{_ROOT}/cgroup.controllers"):
                folder = f"{_ROOT}/unified"
        elif controller in controllers.split(","):
            # `cpu` and `cpuacct` share one mount; distributions link both single names to it.
            folder, name = f"{_ROOT}/{controller}", v1
        else:
            continue
        parts = [part for part in group.split("/") if part and part != ".."]
        for depth in range(len(parts), -1, -1) if name else ():
            content = host.read("/".join([folder, *parts[:depth], name]), 100)
            if content is not None:
                found.append(content.strip())
    return found


def least_memory(limits: object) -> int | None:
    """Bytes of the tightest memory limit; None where none is set."""
    numbers = [n for limit in texts(limits) if (n := whole(limit)) is not None and 0 < n < _V1_UNLIMITED]
    return min(numbers, default=None)


def least_cores(limits: object) -> float | None:
    """Cores' worth of time of the tightest quota (quota ÷ period); None where none is set."""
    cores = []
    for limit in texts(limits):
        quota, _, period = limit.partition(" ")
        q, p = whole(quota), whole(period)
        if q is not None and p is not None and q > 0 and p > 0:
            cores.append(round(q / p, 3))
    return min(cores, default=None)


def seen(evidence: dict[str, Any]) -> bool:
    """Whether any control-group file answered."""
    return bool(texts(table(evidence).get("cgroup_memory")) or texts(table(evidence).get("cgroup_cpu")))
