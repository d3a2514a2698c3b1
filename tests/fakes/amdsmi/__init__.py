"""A stand-in for AMD SMI's Python binding (the layout of release 7.0): it drives the real child without a GPU.

Read from the environment: FAKE_AMDSMI_GPUS (count), FAKE_AMDSMI_INIT (error code of amdsmi_init), FAKE_AMDSMI_HANG and
FAKE_AMDSMI_CRASH (name of a function that sleeps for a minute, or kills the program), FAKE_AMDSMI_NONE (functions that
are not supported, by comma). Texts that must not leave the machine are SECRET….
"""

from __future__ import annotations

import os
import signal
import time
from enum import IntEnum
from typing import Any


class AmdSmiLibraryException(Exception):  # noqa: N818  the binding's own name
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.err_code = code


class AmdSmiClkType(IntEnum):
    GFX = 0
    MEM = 4


class AmdSmiTemperatureType(IntEnum):
    EDGE = 0
    HOTSPOT = 1


class AmdSmiTemperatureMetric(IntEnum):
    CURRENT = 0


def _at(name: str) -> None:
    if os.environ.get("FAKE_AMDSMI_HANG") == name:
        time.sleep(60)
    if os.environ.get("FAKE_AMDSMI_CRASH") == name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if name in os.environ.get("FAKE_AMDSMI_NONE", "").split(","):
        raise AmdSmiLibraryException(2)


def amdsmi_init(flag: Any = None) -> None:
    _at("amdsmi_init")
    if code := int(os.environ.get("FAKE_AMDSMI_INIT", "0")):
        raise AmdSmiLibraryException(code)


def amdsmi_get_processor_handles() -> list[int]:
    return list(range(int(os.environ.get("FAKE_AMDSMI_GPUS", "1"))))


_ANSWERS: dict[str, Any] = {
    "amdsmi_get_gpu_asic_info": {
        "market_name": "AMD Instinct MI300X",
        "device_id": "0x74a1",
        "asic_serial": "SECRET1",
        "target_graphics_version": "gfx942",
    },
    "amdsmi_get_gpu_driver_info": {"driver_name": "amdgpu", "driver_version": "6.12.12", "driver_date": "N/A"},
    "amdsmi_get_gpu_vram_info": {"vram_type": 1, "vram_vendor": "x", "vram_size": 196592, "vram_bit_width": 8192},
    "amdsmi_get_gpu_vram_usage": {"vram_total": 196592, "vram_used": 283},
    "amdsmi_get_power_info": {"socket_power": 0, "current_socket_power": 141, "average_socket_power": "N/A"},
    "amdsmi_get_power_cap_info": {"power_cap": 750000000, "max_power_cap": 750000000},
    "amdsmi_get_gpu_activity": {"gfx_activity": 3, "umc_activity": 0, "mm_activity": "N/A"},
    "amdsmi_get_pcie_info": {
        "pcie_static": {"max_pcie_width": 16, "max_pcie_speed": 32000, "slot_type": "OAM"},
        "pcie_metric": {"pcie_width": 16, "pcie_speed": 32000},
    },
    "amdsmi_get_gpu_total_ecc_count": {"correctable_count": 4, "uncorrectable_count": 1},
    "amdsmi_get_gpu_compute_partition": "SPX",
    "amdsmi_get_gpu_process_list": [
        {"name": "/home/SECRET2/bin/python3 serve", "pid": 4711, "memory_usage": {"vram_mem": 2147483648}}
    ],
    "amdsmi_get_gpu_device_bdf": "0000:SECRET3",
    "amdsmi_get_gpu_device_uuid": "SECRET4",
}


def __getattr__(name: str) -> Any:
    if name not in _ANSWERS:
        raise AttributeError(name)

    def answer(handle: int) -> Any:
        _at(name)
        return _ANSWERS[name]

    return answer


def amdsmi_get_gpu_kfd_info(handle: int) -> dict[str, Any]:
    """The topology counts its nodes the other way round, after one processor."""
    _at("amdsmi_get_gpu_kfd_info")
    return {"kfd_id": "SECRET5", "node_id": int(os.environ.get("FAKE_AMDSMI_GPUS", "1")) - handle}


def amdsmi_get_clock_info(handle: int, kind: AmdSmiClkType) -> dict[str, Any]:
    _at("amdsmi_get_clock_info")
    return {"clk": 132, "max_clk": 2100 if kind == AmdSmiClkType.GFX else 1300}


def amdsmi_get_temp_metric(handle: int, kind: AmdSmiTemperatureType, metric: AmdSmiTemperatureMetric) -> int:
    _at("amdsmi_get_temp_metric")
    if kind == AmdSmiTemperatureType.EDGE:
        raise AmdSmiLibraryException(2)
    return 42 + int(metric)


def amdsmi_topo_get_link_type(one: int, other: int) -> dict[str, int]:
    _at("amdsmi_topo_get_link_type")
    return {"hops": 1, "type": 2}


def amdsmi_is_P2P_accessible(one: int, other: int) -> bool:  # noqa: N802  the binding's own name
    return one + other != 1
