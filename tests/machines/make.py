"""Writes the synthetic machines of this folder: `python -m tests.machines.make`.

Files named "captured-…" are real: `envcheck snapshot` wrote them on a small cloud machine without a GPU (for one, after
modules of torch were deleted and numpy's metadata doubled; for one, in a namespace with 64 MiB of shared memory).

The others are synthetic. Each is the evidence that the probes would collect there, composed from parts whose layouts
real sources have; the file says "synthetic" where a captured one says which envcheck wrote it. A test compares the
files with what this makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from envcheck.schema.evidence import EvidenceFile

FOLDER = Path(__file__).parent
GIB = 1024**3
Part = dict[str, Any]


def linux(distro: str, kernel: str, glibc: str, arch: str = "x86_64", **more: Any) -> Part:
    """Evidence of `os`; `more` overrides single fields."""
    name, _, version = distro.partition(" ")
    libc = "musl" if glibc == "musl" else f"glibc {glibc}"
    seen: Part = {
        "platform": "linux",
        "release": kernel,
        "machine": arch,
        "os_release": {"ID": name, "VERSION_ID": version},
    }
    seen |= {"libc": libc, "wsl": [], "dxg": False, "container": [], "virtual_machine": [], "secure_boot": None}
    seen |= {"iommu": {"groups": 0, "kinds": [], "boot_options": []}, "devices": {}, "groups": ["video", "render"]}
    return seen | {"ulimits": {"memlock": "8388608", "nofile": "1024"}} | more


def cpu(model: str, cores: int, flags: str, sockets: int = 1, threads: int = 2, quota: list[str] | None = None) -> Part:
    """Evidence of `cpu`: `cores` physical ones over all sockets."""
    topology = [[s, c] for s in range(sockets) for c in range(cores // sockets) for _ in range(threads)]
    fields = {"model name": model, "flags": flags}
    return {
        "cpuinfo": fields,
        "topology": topology,
        "affinity": len(topology),
        "cgroup_cpu": quota or [],
        "numa": sockets,
    }


def memory(gib: float, limit_gib: float | None = None, shm_gib: float | None = None) -> Part:
    """Evidence of `memory`: a tenth of it is in use; `/dev/shm` is half of it unless stated."""
    kib = int(gib * 1024 * 1024)
    shm = int((gib / 2 if shm_gib is None else shm_gib) * GIB)
    return {
        "meminfo": {"MemTotal": kib, "MemAvailable": kib * 9 // 10, "SwapTotal": 0, "HugePages_Total": 0},
        "cgroup_memory": ["max"] if limit_gib is None else [str(int(limit_gib * GIB)), "max"],
        "cgroup_cpu": [],
        "shm": {"total": shm, "free": shm, "writable": True},
    }


def disk(free_gib: int) -> Part:
    """Evidence of `disk`: one file system for everything."""
    space = {"total": 2 * free_gib * GIB, "free": free_gib * GIB, "writable": True}
    return {"spaces": dict.fromkeys(("target", "models", "temp", "home", "cache", "ollama_models"), space)}


def nvidia(
    gpus: list[tuple[str, int, str, str]], driver: str, cuda: int, state: str = "", kernel: str = "", **more: Any
) -> Part:
    """Evidence of `nvidia`: (name, MiB, capability, PCI number) each; `state` makes the stack fail in that way."""
    nodes = [f"nvidia{n}" for n in range(len(gpus))] + ["nvidiactl"] + ([] if state == "uvm" else ["nvidia-uvm"])
    loaded = {"module": True, "uvm": state != "uvm", "nouveau": False, "sys_version": kernel or driver, "open": False}
    loaded |= {"proc_version": kernel or driver, "models": [name for name, _, _, _ in gpus]}
    bus = {
        "driver": "nvidia",
        "speed": "2.5 GT/s PCIe",
        "speed_max": "16.0 GT/s PCIe",
        "width": "16",
        "width_max": "16",
    }
    seen: Part = {
        "kernel": loaded,
        "pci": [{"id": f"10de:{pci}", **bus} for _, _, _, pci in gpus],
        "nodes": nodes,
        "closed": ["nvidia0", "nvidiactl"] if state == "closed" else [],
        "libraries": {"libcuda.so.1": driver, "libnvidia-ml.so.1": driver},
        "compat": "",
        "nvml": {
            "lines": _lines(gpus, driver, cuda, state),
            "failure": "timeout" if state == "hung" else "",
            "code": 0,
        },
    }
    if state == "no_module":
        seen["kernel"] = {**loaded, "module": False, "sys_version": "", "proc_version": "", "models": []}
        seen["nvml"] = {"lines": [{"init": 9}], "failure": "", "code": 0}
    return seen | more


def _lines(gpus: list[tuple[str, int, str, str]], driver: str, cuda: int, state: str) -> list[Part]:
    if state == "mismatch":
        return [{"init": 18}]
    system = {"driver": driver, "cuda": cuda, "nvml": f"12.{driver}", "count": len(gpus)}
    lines: list[Part] = [{"init": 0}, {"system": system}]
    for index, (name, mib, capability, pci) in enumerate(gpus):
        size = mib * 1024 * 1024 or None
        mig = [1, 1] if state == "mig" else None
        line: Part = {"gpu": index, "name": name, "total": size, "free": size and size * 97 // 100, "reserved": None}
        line |= {
            "capability": [int(part) for part in capability.split(".")],
            "pci": int(pci, 16) << 16 | 0x10DE,
            "mig": mig,
        }
        lines.append(line)
        if state == "hung":
            return lines
        more: Part = {
            "gpu": index,
            "pcie_generation": 1,
            "pcie_generation_max": 4,
            "pcie_width": 16,
            "pcie_width_max": 16,
        }
        more |= {"throttle": [], "fabric": {"state": 1, "status": 0} if state == "fabric" else None, "processes": []}
        if state == "mig":
            more["slices"] = [
                {"name": f"{name} MIG 1g.10gb", "total": size and size // 8, "free": size and size // 8}
            ] * 2
        lines.append(more)
    pairs = {
        f"{a}-{b}": "NV18" if "H" in gpus[0][0] else "PHB" for a in range(len(gpus)) for b in range(a + 1, len(gpus))
    }
    return [*lines, {"links": pairs}, {"done": True}]


NO_NVIDIA: Part = {
    "kernel": {"module": False, "uvm": False, "nouveau": False, "sys_version": "", "proc_version": "", "models": []},
    "pci": [], "nodes": [], "closed": [], "libraries": {}, "compat": "",
}  # fmt: skip
NO_AMD: Part = {
    "module": False, "module_version": "", "rocm": "", "kfd": False, "closed": [], "nodes": [], "cards": [], "pci": [],
}  # fmt: skip
NO_INTEL: Part = {"pci": [], "modules": [], "libraries": {}, "memory": []}
NOT_A_MAC: Part = {"platform": "other"}


def amd(gfx: int, device: str, name: str, vram_gib: float, count: int = 1, rocm: str = "6.4.1", **more: Any) -> Part:
    """Evidence of `amd`: `count` equal devices; `gfx` in the kernel's notation (110000 is gfx1100)."""
    size = int(vram_gib * GIB)
    node: Part = {"gfx_target_version": gfx, "simd_count": 96, "cpu_cores_count": 0, "device_id": int(device, 16)}
    node |= {"banks": [{"heap_type": 1, "size_in_bytes": size, "width": 256, "mem_clk_max": 1249}]}
    card = {"vram_total": str(size), "vram_used": str(GIB // 8), "gtt_total": str(30 * GIB), "id": f"1002:{device}"}
    bus = {"id": f"1002:{device}", "driver": "amdgpu", "speed_max": "16.0 GT/s PCIe", "width_max": "16"}
    seen: Part = {"module": True, "module_version": "", "rocm": rocm, "kfd": True, "closed": []}
    seen |= {"nodes": [node] * count, "cards": [{**card, "name": name, "busy": "0"}] * count, "pci": [bus] * count}
    return seen | more


def python(version: str, kind: str = "venv", *packages: tuple[str, str], **more: Any) -> Part:
    """Evidence of `python`: packages as (name, version); torch's version file follows from its local tag."""
    rows = [
        {"name": name, "version": v, "metadata": True, "declared": v, "requires": [], "tags": []}
        for name, v in packages
    ]
    torch = dict(packages).get("torch", "")
    tag = torch.partition("+")[2]
    file = {"__version__": torch, "cuda": f"{tag[2:4]}.{tag[4:]}" if tag.startswith("cu") else "None", "hip": "None"}
    if tag.startswith("rocm"):
        file["hip"] = tag.removeprefix("rocm")
    seen: Part = {"version": version, "asked": False, "implementation": "cpython", "kind": kind, "system_site": False}
    seen |= {"externally_managed": kind == "system", "folders": 1, "packages": rows, "leftovers": 0}
    return seen | {"libraries": [], "torch": file if torch else {}, "configuration": {}} | more


def toolchain(gcc: str = "", nvcc: str = "", **libraries: str) -> Part:
    """Evidence of `toolchain`; empty means that it is not installed."""
    compiler = {"found": bool(gcc), "version": gcc, "by": "dpkg"}
    cuda = {"found": bool(nvcc), "version": nvcc, "by": "version.json", "ptxas": bool(nvcc), "others": []}
    none = {"found": False}
    return {
        "gcc": compiler, "gxx": compiler, "headers": bool(gcc), "openmp": bool(gcc), "cmake": none,
        "ninja": none, "cuda": cuda, "triton_ptxas": none,
        "libraries": {name.replace("_", "."): value for name, value in libraries.items()},
    }  # fmt: skip


def containers(engine: str = "", toolkit: str = "") -> Part:
    """Evidence of `containers`."""
    runtimes = ["nvidia", "runc"] if toolkit else ["runc"]
    seen = {"version": engine, "api": "1.47", "runtimes": runtimes, "devices": []} if engine else {}
    return {
        "docker_found": bool(engine), "podman_found": False, "socket": {"open": True} if engine else None,
        "engine": seen,
        "daemon": {"nvidia_runtime": bool(toolkit)}, "cdi": [], "toolkit_found": bool(toolkit), "toolkit": toolkit,
    }  # fmt: skip


def machine(os: Part, processor: Part, ram: Part, **parts: Any) -> EvidenceFile:
    """All sections of one machine; what `parts` leaves out is a section with nothing in it."""
    sections: dict[str, Any] = {
        "os": os,
        "cpu": processor,
        "memory": ram,
        "disk": parts.get("disk", disk(200)),
        "nvidia": parts.get("nvidia", NO_NVIDIA),
        "amd": parts.get("amd", NO_AMD),
        "intel": parts.get("intel", NO_INTEL),
        "apple": parts.get("apple", NOT_A_MAC),
        "python": parts.get("python", python("3.12.4")),
        "toolchain": parts.get("toolchain", toolchain()),
        "environment": {"variables": parts.get("env", {})},
        "containers": parts.get("containers", containers()),
        "backends": {"programs": parts.get("programs", {}), "asked": True, "servers": parts.get("servers", [])},
        "services": {"asked": True, "services": parts.get("services", [])},
    }
    return EvidenceFile(envcheck="synthetic", taken_at="2026-11-21T00:00:00+00:00", level=1, evidence=sections)


def write() -> None:
    """Write every machine of the catalogue."""
    from tests.machines.catalogue import MACHINES

    for name, file in MACHINES.items():
        text = msgspec.json.format(msgspec.json.encode(file), indent=1).decode() + "\n"
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
