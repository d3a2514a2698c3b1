"""The processor: model, cores that may be used, instruction sets, sockets, NUMA nodes."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcheck.probes import _cgroup
from envcheck.probes._values import pick, present, real, table, text, texts, whole
from envcheck.schema.facts import FloatFact, IntFact, Known, TextsFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Cpu

if TYPE_CHECKING:
    from envcheck.host import Host

_CPUINFO_FIELDS = (
    "model name",
    "vendor_id",
    "flags",
    "Features",
    "CPU implementer",
    "CPU part",
    "Model",
    "Hardware",
    "cpu",
)
_CPUS = "/sys/devices/system/cpu"
_MOST_CPUS = 4096
_ARM_CORES = {
    # (implementer, part): Arm's Main ID Register values; https://github.com/util-linux/util-linux/blob/master/sys-utils/lscpu-arm.c
    ("0x41", "0xd0c"): "Neoverse-N1", ("0x41", "0xd40"): "Neoverse-V1", ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2", ("0x41", "0xd85"): "Cortex-X925", ("0x41", "0xd87"): "Cortex-A725",
    ("0x41", "0xd0b"): "Cortex-A76", ("0x41", "0xd08"): "Cortex-A72", ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd42"): "Cortex-A78AE", ("0x4e", "0x004"): "Carmel",
}  # fmt: skip
_MAC_FLAGS = {
    "FEAT_DotProd": "asimddp",
    "FEAT_FP16": "asimdhp",
    "FEAT_BF16": "bf16",
    "FEAT_I8MM": "i8mm",
    "FEAT_SME": "sme",
}


def collect(host: Host) -> Evidence:
    """The first processor's entry of `/proc/cpuinfo`, the topology under `/sys`, affinity and control-group quota.

    Only the start of `/proc/cpuinfo` is read: the kernel composes it per processor, slowly where there are hundreds.
    """
    first = (host.read("/proc/cpuinfo", 16384) or "").split("\n\n", 1)[0]
    fields: dict[str, str] = {}
    for line in first.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in _CPUINFO_FIELDS:
            fields.setdefault(key.strip(), value.strip())
    evidence: Evidence = {
        "cpuinfo": fields,
        "topology": _topology(host),
        "affinity": host.affinity(),
        "cgroup_cpu": _cgroup.cpu_limits(host),
        "numa": sum(bool(re.fullmatch(r"node\d+", name)) for name in host.names("/sys/devices/system/node")),
        "hypervisor_type": (host.read("/sys/hypervisor/type", 40) or "").strip(),
    }
    if not fields and host.is_real:
        evidence.update(_elsewhere(host))
    if host.level >= 3 and host.is_real:
        evidence["bandwidth"] = _measure_bandwidth(host)
    return evidence


def _topology(host: Host) -> list[list[int]]:
    """[socket, core] of every processor that is online."""
    seen = []
    for name in host.names(_CPUS)[:_MOST_CPUS]:
        if re.fullmatch(r"cpu\d+", name):
            package = whole(host.read(f"{_CPUS}/{name}/topology/physical_package_id", 20))
            core = whole(host.read(f"{_CPUS}/{name}/topology/core_id", 20))
            if package is not None and core is not None:
                seen.append([package, core])
    return seen


def _elsewhere(host: Host) -> dict[str, Any]:
    """A Mac's sysctl, else py-cpuinfo: both only where `/proc/cpuinfo` does not exist."""
    if host.platform == "darwin":
        listed = host.run(["sysctl", "hw", "machdep.cpu"]).out if host.level >= 1 else ""
        wanted = re.compile(
            r"^((?:hw\.(?:physicalcpu|logicalcpu|packages|optional[\w.]*)|machdep\.cpu\.[\w.]+)): (.{1,400})$",
            re.MULTILINE,
        )
        return {"sysctl": dict(wanted.findall(listed))}
    import cpuinfo

    named = cpuinfo.get_cpu_info()
    return {"py_cpuinfo": {key: named.get(key) for key in ("brand_raw", "flags", "count", "arch")}}


def _measure_bandwidth(host: Host) -> Any:
    child = str(Path(__file__).with_name("_bandwidth_child.py"))
    measured = host.run([sys.executable, "-I", "-S", child], timeout=20.0)
    return {"gbs": real(measured.out.strip()), "failure": measured.failure}


def parse(evidence: Evidence) -> Cpu:
    """Logical `cores` are what affinity and the control group leave, rounded down but never below one."""
    seen = table(evidence)
    fields, mac, other = table(seen.get("cpuinfo")), table(seen.get("sysctl")), table(seen.get("py_cpuinfo"))
    topology = _pairs(seen.get("topology"))
    flags = _flags(fields, mac, other)
    virtual = "yes" if isinstance(flags, Known) and "hypervisor" in flags.value else None
    why_topology = "the topology under /sys/devices/system/cpu could not be read"
    return Cpu(
        name=pick(
            [
                ("/proc/cpuinfo", _model(fields)),
                ("sysctl", text(mac.get("machdep.cpu.brand_string"))),
                ("py-cpuinfo", text(other.get("brand_raw"))),
            ],
            "no source named the processor",
        ),
        cores=_cores(seen, topology, mac, other),
        physical_cores=pick(
            [("/sys/devices/system/cpu", len(set(topology)) or None), ("sysctl", whole(mac.get("hw.physicalcpu")))],
            why_topology,
        ),
        sockets=pick(
            [
                ("/sys/devices/system/cpu", len({s for s, _ in topology}) or None),
                ("sysctl", whole(mac.get("hw.packages"))),
            ],
            why_topology,
        ),
        numa_nodes=pick(
            [("/sys/devices/system/node", whole(seen.get("numa")) or None)], "the kernel shows no NUMA nodes"
        ),
        flags=flags,
        hypervisor=present("/proc/cpuinfo, /sys/hypervisor", text(seen.get("hypervisor_type")) or virtual),
        memory_bandwidth_gbs=_bandwidth(table(seen.get("bandwidth"))),
    )


def _pairs(value: object) -> list[tuple[int, int]]:
    pairs = []
    for row in value if isinstance(value, list) else ():
        if isinstance(row, list) and len(row) == 2:
            package, core = whole(row[0]), whole(row[1])
            if package is not None and core is not None:
                pairs.append((package, core))
    return pairs


def _model(fields: Evidence) -> str | None:
    arm = _ARM_CORES.get((str(fields.get("CPU implementer")), str(fields.get("CPU part"))))
    named = (
        text(fields.get("model name"))
        or arm
        or text(fields.get("Model"))
        or text(fields.get("Hardware"))
        or text(fields.get("cpu"))
    )
    return re.sub(r"\s+", " ", named) if named else None


def _cores(seen: Evidence, topology: list[tuple[int, int]], mac: Evidence, other: Evidence) -> IntFact:
    said = [
        ("affinity", whole(seen.get("affinity"))),
        ("/sys/devices/system/cpu", len(topology) or None),
        ("sysctl", whole(mac.get("hw.logicalcpu"))),
        ("py-cpuinfo", whole(other.get("count"))),
    ]
    counted = pick([(source, n) for source, n in said if n is not None and n > 0], "no source counted the processors")
    quota = _cgroup.least_cores(seen.get("cgroup_cpu"))
    if isinstance(counted, Known) and quota is not None and quota < counted.value:
        return Known(value=max(1, math.floor(quota)), source="cgroup", also=counted.also)
    return counted


def _flags(fields: Evidence, mac: Evidence, other: Evidence) -> TextsFact:
    listed = text(fields.get("flags"), 20000) or text(fields.get("Features"), 20000)
    if listed:
        return Known(value=tuple(sorted(set(listed.lower().split()))), source="/proc/cpuinfo")
    if mac:
        arm = ["asimd"] if str(mac.get("hw.optional.arm64")).strip() == "1" else []
        arm += [ours for theirs, ours in _MAC_FLAGS.items() if str(mac.get(f"hw.optional.arm.{theirs}")).strip() == "1"]
        intel = " ".join(text(mac.get(f"machdep.cpu.{k}"), 4000) or "" for k in ("features", "leaf7_features")).lower()
        # A Mac writes "avx1.0" and "avx512f" where Linux writes "avx" and "avx512f".
        return Known(value=tuple(sorted({*arm, *intel.replace("avx1.0", "avx").split()})), source="sysctl")
    if named := texts(other.get("flags")):
        return Known(value=tuple(sorted(set(named))), source="py-cpuinfo")
    return Unknown(why="no source listed the instruction sets")


def _bandwidth(seen: Evidence) -> FloatFact:
    if not seen:
        return Unknown(why="measured only at level 3")
    measured = real(seen.get("gbs"))
    if measured is None or measured <= 0:
        return Unknown(why=f"the measurement did not finish ({text(seen.get('failure')) or 'no figure'})")
    return Known(value=measured, source="measured: parallel copy, read plus write")


PROBE = Probe(section="cpu", collect=collect, parse=parse)
