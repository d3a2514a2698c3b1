"""Intel GPUs: the kernel's driver, the bus, and whether Level Zero and its GPU driver are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from envcheck.probes import _pci
from envcheck.probes._libraries import Loader
from envcheck.probes._product import complete
from envcheck.probes._values import mib, pick, present, table, tables, text, whole
from envcheck.schema.facts import Absent, IntFact, Known, TextFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Gpu, Intel

if TYPE_CHECKING:
    from envcheck.host import Host

VENDOR = "8086"
_LOADER, _DRIVER = "libze_loader.so.1", "libze_intel_gpu.so.1"
_DISCRETE = ("490", "4f8", "569", "56a", "56b", "56c", "0bd", "0b6", "e20", "e21", "e22")
"""First digits of the device numbers of DG1, Alchemist, Flex, Data Center GPU Max and Battlemage.

https://dgpu-docs.intel.com/devices/hardware-table.html
"""
_WHY = "the bus does not tell it"


def collect(host: Host) -> Evidence:
    """Files only: the names of Intel's devices come from the system's list of PCI numbers."""
    pci = _pci.devices(host, VENDOR, named=True)
    loader = Loader(host) if pci else None
    found = {name: loader.version(path, name) for name in (_LOADER, _DRIVER) if loader and (path := loader.find(name))}
    modules = [name for name in ("xe", "i915") if host.is_dir(f"/sys/module/{name}")]
    return {"pci": pci, "modules": modules, "libraries": found, "memory": _memory(host) if pci else []}


def _memory(host: Host) -> list[str]:
    """Local memory that out-of-tree i915 and xe report per card, in bytes; the mainline i915 reports none."""
    names = [name for name in host.names("/sys/class/drm") if name.startswith("card") and name[4:].isdigit()]
    return [
        size for name in names if (size := (host.read(f"/sys/class/drm/{name}/lmem_total_bytes", 30) or "").strip())
    ]


def parse(evidence: Evidence) -> Intel:
    """The driver in use, Level Zero's version, and the GPUs (discrete ones recognised by number)."""
    seen = table(evidence)
    pci, libraries = tables(seen.get("pci")), table(seen.get("libraries"))
    nothing = Absent(source="/sys/bus/pci/devices")
    if not pci:
        why = Unknown(why="the evidence holds no list of devices")
        none: Absent | Unknown = nothing if isinstance(seen.get("pci"), list) else why
        return Intel(driver=none, level_zero=none, gpus=none)
    driver = next((name for device in pci if (name := text(device.get("driver"), 30))), None)
    sizes = [size for size in (seen.get("memory") if isinstance(seen.get("memory"), list) else []) or [] if whole(size)]
    discrete = [device for device in pci if _kind(device) == "discrete"]
    gpus = tuple(
        _gpu(n, device, sizes[0] if len(sizes) == len(discrete) == 1 else None) for n, device in enumerate(pci[:64])
    )
    return Intel(
        driver=present("/sys/bus/pci/devices", driver),
        level_zero=_level_zero(libraries),
        gpus=Known(value=gpus, source="/sys/bus/pci/devices"),
    )


def _level_zero(libraries: dict[str, Any]) -> TextFact:
    """Usable only with both: the loader, and Intel's driver that it loads."""
    if _LOADER not in libraries:
        return Absent(source="loader")
    if _DRIVER not in libraries:
        return Unknown(why="libze_loader.so.1 is installed, Intel's driver libze_intel_gpu.so.1 is not")
    return Known(value=text(libraries.get(_LOADER), 40) or "present", source="loader")


def _kind(device: dict[str, Any]) -> Literal["discrete", "integrated", "unknown"]:
    number = (text(device.get("id"), 12) or "").partition(":")[2]
    if not number:
        return "unknown"
    return "discrete" if number.startswith(_DISCRETE) else "integrated"


def _gpu(index: int, device: dict[str, Any], memory: object) -> Gpu:
    kind = _kind(device)
    size: IntFact = pick(
        [("/sys/class/drm", mib(whole(memory)) if kind == "discrete" else None)],
        "the kernel driver gives no memory size",
    )
    gpu = Gpu(
        index=index,
        vendor="intel",
        name=pick([("pci.ids", text(device.get("name"), 80))], "only its PCI number is known"),
        kind=kind,
        memory_total_mib=size,
        pci_id=pick([("/sys/bus/pci/devices", text(device.get("id"), 12))], _WHY),
        pcie_generation=pick([("/sys/bus/pci/devices", _pci.generation(device, "speed"))], _WHY),
        pcie_generation_max=pick([("/sys/bus/pci/devices", _pci.generation(device, "speed_max"))], _WHY),
        pcie_width=pick([("/sys/bus/pci/devices", _pci.width(device, "width"))], _WHY),
        pcie_width_max=pick([("/sys/bus/pci/devices", _pci.width(device, "width_max"))], _WHY),
    )
    return complete(gpu)


PROBE = Probe(section="intel", collect=collect, parse=parse)
