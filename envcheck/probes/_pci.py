"""Display and compute devices on the PCI bus, by vendor and device number; bus addresses order them and are dropped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from envcheck.probes._values import table, text, whole

if TYPE_CHECKING:
    from envcheck.host import Host

BUS = "/sys/bus/pci/devices"
_CLASSES = ("0x03", "0x12")
"""PCI base classes: display controller, processing accelerator (PCI Code and ID Assignment Specification)."""
_LISTS = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")
_GENERATIONS = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}
"""Gigatransfers a second of one lane to the PCI Express generation."""


def devices(host: Host, vendor: str, named: bool = False) -> list[dict[str, Any]]:
    """Devices of one vendor ("10de"), in bus order; `named` adds what the system's list of PCI numbers calls them.

    Vendor numbers are read from every device, everything else only where the vendor is the one asked for.
    """
    found = []
    for address in host.names(BUS):
        folder = f"{BUS}/{address}"
        if (host.read(f"{folder}/vendor", 20) or "").strip().lower() != f"0x{vendor}":
            continue
        if not (host.read(f"{folder}/class", 20) or "").strip().lower().startswith(_CLASSES):
            continue
        found.append(_device(host, folder, vendor))
    if named and found:
        listed = next((content for path in _LISTS if (content := host.read_bytes(path))), b"")
        for device in found:
            device["name"] = _name(listed, device["id"])
    return found


def _name(listed: bytes, number: str) -> str:
    """A device's name in the list: vendors start a line, their devices follow indented by one tab."""
    vendor, _, device = number.encode().partition(b":")
    start = listed.find(b"\n" + vendor + b"  ")
    end = next((found.start() for found in re.finditer(rb"\n[0-9a-f]{4}  ", listed[start + 1 :])), 0) + start + 1
    entry = re.search(rb"\n\t" + device + rb"  ([^\n]{1,120})", listed[start : end if end > start + 1 else None])
    return entry.group(1).decode("utf-8", "replace") if start >= 0 and device and entry else ""


def _device(host: Host, folder: str, vendor: str) -> dict[str, Any]:
    def short(name: str) -> str:
        return (host.read(f"{folder}/{name}", 60) or "").strip()

    number = short("device").lower().removeprefix("0x")
    driver = host.real_path(f"{folder}/driver").rsplit("/", 1)[-1] if host.exists(f"{folder}/driver") else ""
    return {
        "id": f"{vendor}:{number}" if re.fullmatch(r"[0-9a-f]{4}", number) else "",
        "driver": driver if re.fullmatch(r"[\w-]{1,30}", driver) else "",
        "speed": short("current_link_speed"),
        "speed_max": short("max_link_speed"),
        "width": short("current_link_width"),
        "width_max": short("max_link_width"),
        "boot_display": short("boot_vga"),
        "numa": short("numa_node"),
    }


def generation(device: dict[str, Any], name: str) -> int | None:
    """PCI Express generation from a link speed such as "16.0 GT/s PCIe"."""
    return _GENERATIONS.get((text(table(device).get(name)) or "").split(" ")[0])


def generation_of_speed(megatransfers: object) -> int | None:
    """PCI Express generation from a lane's speed in MT/s (32000 is generation 5)."""
    speed = whole(megatransfers)
    return _GENERATIONS.get(f"{speed / 1000:.1f}") if speed is not None and 0 < speed < 10**6 else None


def numa_node(device: dict[str, Any]) -> int | None:
    """The NUMA node that the device hangs on; the kernel writes -1 where the firmware does not say."""
    node = whole(table(device).get("numa"))
    return node if node is not None and 0 <= node < 4096 else None


def width(device: dict[str, Any], name: str) -> int | None:
    """Lanes of the link; the kernel writes 0 or 255 where it does not know."""
    lanes = whole(table(device).get(name))
    return lanes if lanes and lanes <= 32 else None
