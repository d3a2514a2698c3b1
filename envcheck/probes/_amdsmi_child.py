"""Asks AMD's own library and prints what it says, one JSON object a line, flushed: what came before a hang is kept.

Run by path as a program of its own (`python -I -S _amdsmi_child.py FOLDER_OF_AMDSMI`). It imports nothing of envcheck
and prints no UUID, serial number or bus address. Names and units as in the Python reference of AMD SMI
(https://rocm.docs.amd.com/projects/amdsmi/en/latest/reference/amdsmi-py-api.html): memory in MiB, sockets in W, caps
in microwatts, link speed in MT/s.

Lines: {"init": code} (0 is success), then {"gpu": i, …} twice a device (identity and memory first, then slower or rarer
figures), then {"links": {"0-1": "XGMI"}}, then {"done": true}.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

LINK_DEVICES = 16
_LINKS = {1: "PCIe", 2: "XGMI"}
"""amdsmi_link_type_t; the older amdsmi_io_link_type_t has the same two numbers."""


def say(line: dict[str, Any]) -> None:
    """Print one line and make sure that it is out before the next question."""
    print(json.dumps(line), flush=True)  # noqa: T201  the answer of this program


def ask(smi: Any, name: str, *arguments: Any) -> Any:
    """The answer of one function; None where this device, driver or library has none."""
    try:
        return getattr(smi, name)(*arguments)
    except Exception:  # noqa: BLE001  the binding raises several unrelated classes, and each of them means "no answer"
        return None


def of(answer: Any, *keys: str) -> Any:
    """A value in nested answers; None for what is missing or "N/A"."""
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer if isinstance(answer, (int, float, str)) and answer != "N/A" else None


def main() -> int:
    """Ask and print; the exit code says only whether the binding itself could be used."""
    sys.path[:0] = sys.argv[1:2]
    try:
        smi: Any = import_module("amdsmi")
    except BaseException as error:  # noqa: BLE001  a broken binding may raise anything, and this line is its report
        say({"binding": type(error).__name__})
        return 1
    try:
        smi.amdsmi_init()
    except Exception as error:  # noqa: BLE001  classes differ between releases; the number is what counts
        say({"init": getattr(error, "err_code", -1)})
        return 0
    say({"init": 0})
    handles = list(enumerate(ask(smi, "amdsmi_get_processor_handles") or ()))[:256]
    for index, handle in handles:
        say({"gpu": index, **identity(smi, handle)})
    for index, handle in handles:
        say({"gpu": index, **figures(smi, handle)})
    say({"links": links(smi, handles[:LINK_DEVICES])})
    say({"done": True})
    return 0


def identity(smi: Any, handle: Any) -> dict[str, Any]:
    """What must be known of a device before anything else may go wrong."""
    asic, driver = ask(smi, "amdsmi_get_gpu_asic_info", handle), ask(smi, "amdsmi_get_gpu_driver_info", handle)
    usage, memory = ask(smi, "amdsmi_get_gpu_vram_usage", handle), ask(smi, "amdsmi_get_gpu_vram_info", handle)
    return {
        "name": of(asic, "market_name"),
        "gfx": of(asic, "target_graphics_version"),
        "device": of(asic, "device_id"),
        "node": of(ask(smi, "amdsmi_get_gpu_kfd_info", handle), "node_id"),
        "driver": of(driver, "driver_version"),
        "total": of(usage, "vram_total") or of(memory, "vram_size"),
        "used": of(usage, "vram_used"),
        "bus_bits": of(memory, "vram_bit_width"),
    }


def figures(smi: Any, handle: Any) -> dict[str, Any]:
    """Everything else, each asked for itself."""
    power, cap = ask(smi, "amdsmi_get_power_info", handle), ask(smi, "amdsmi_get_power_cap_info", handle)
    pcie, clocks = ask(smi, "amdsmi_get_pcie_info", handle), getattr(smi, "AmdSmiClkType", None)
    core = ask(smi, "amdsmi_get_clock_info", handle, getattr(clocks, "GFX", None))
    memory = ask(smi, "amdsmi_get_clock_info", handle, getattr(clocks, "MEM", None))
    draw = (of(power, key) for key in ("current_socket_power", "socket_power", "average_socket_power"))
    return {
        "power_w": next((watts for watts in draw if watts), None),
        "power_cap_uw": of(cap, "power_cap"),
        "power_cap_max_uw": of(cap, "max_power_cap"),
        "temperature": temperature(smi, handle),
        "busy": of(ask(smi, "amdsmi_get_gpu_activity", handle), "gfx_activity"),
        "clock": of(core, "clk"),
        "clock_max": of(core, "max_clk"),
        "memory_clock_max": of(memory, "max_clk"),
        "speed": of(pcie, "pcie_metric", "pcie_speed"),
        "speed_max": of(pcie, "pcie_static", "max_pcie_speed"),
        "width": of(pcie, "pcie_metric", "pcie_width"),
        "width_max": of(pcie, "pcie_static", "max_pcie_width"),
        "ecc": of(ask(smi, "amdsmi_get_gpu_total_ecc_count", handle), "uncorrectable_count"),
        "partition": ask(smi, "amdsmi_get_gpu_compute_partition", handle),
        "processes": processes(smi, handle),
    }


def temperature(smi: Any, handle: Any) -> int | None:
    """Degrees Celsius at the edge of the chip, or at its hottest place where a board has no sensor at the edge."""
    kinds, metric = getattr(smi, "AmdSmiTemperatureType", None), getattr(smi, "AmdSmiTemperatureMetric", None)
    for place in ("EDGE", "HOTSPOT"):
        degrees = ask(
            smi, "amdsmi_get_temp_metric", handle, getattr(kinds, place, None), getattr(metric, "CURRENT", None)
        )
        if isinstance(degrees, int):
            return degrees
    return None


def processes(smi: Any, handle: Any) -> list[dict[str, Any]] | None:
    """Programs that hold memory (bytes): the last part of their path, never arguments, owner or number."""
    running = ask(smi, "amdsmi_get_gpu_process_list", handle)
    if not isinstance(running, list):
        return None
    found = []
    for process in running[:64]:
        path = str(of(process, "name") or "unknown").split(" ")[0]
        found.append({"name": path.rsplit("/", 1)[-1], "used": of(process, "memory_usage", "vram_mem")})
    return found


def links(smi: Any, handles: list[tuple[int, Any]]) -> dict[str, str]:
    """How each pair of devices is joined, and where peer access is refused."""
    found = {}
    for place, (first, one) in enumerate(handles):
        for second, other in handles[place + 1 :]:
            kind = of(ask(smi, "amdsmi_topo_get_link_type", one, other), "type")
            shown = _LINKS.get(kind)
            if ask(smi, "amdsmi_is_P2P_accessible", one, other) is False:
                shown = f"{shown or 'unknown'}, no P2P"
            if shown:
                found[f"{first}-{second}"] = shown
    return found


if __name__ == "__main__":
    sys.exit(main())
