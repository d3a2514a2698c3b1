"""AMD SMI through the real child, against a stand-in for its binding."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from envcheck.host import Host
from envcheck.probes import _amdsmi, amd
from envcheck.schema.facts import Unknown, value_of
from envcheck.schema.snapshot import Amd, Gpu

FAKES = Path(__file__).parent.parent / "fakes"


def host(limit_s: float = 30.0, **settings: str) -> Host:
    env = {f"FAKE_AMDSMI_{name.upper()}": value for name, value in settings.items()}
    return Host(env={"PATH": "", "PYTHONPATH": str(FAKES), **env}, limit_s=limit_s)


def read(nodes: int = 1, limit_s: float = 30.0, **settings: str) -> Amd:
    """The reading of a machine whose kernel shows `nodes` devices, numbered from 1, with AMD SMI beside it."""
    machine = host(limit_s, gpus=str(nodes), **settings)
    place = _amdsmi.folder(machine)
    assert place == str(FAKES)
    topology = [
        {"node": n + 1, "gfx_target_version": 90402, "simd_count": 1216, "max_engine_clk_fcompute": 2100 + n}
        for n in range(nodes)
    ]
    seen: dict[str, Any] = {"module": True, "module_version": "6.12.12", "kfd": True, "closed": []}
    seen |= {"nodes": topology, "cards": [], "pci": [{"id": "1002:74a1", "numa": "1"}] * nodes}
    evidence = seen | {"amdsmi": _amdsmi.ask(machine, place)}
    assert "SECRET" not in json.dumps(evidence)
    assert "4711" not in json.dumps(evidence)
    return amd.parse(json.loads(json.dumps(evidence)))


def gpus_of(reading: Amd) -> tuple[Gpu, ...]:
    return value_of(reading.gpus) or ()


def test_every_figure() -> None:
    (gpu,) = gpus_of(read())
    assert value_of(gpu.name) == "AMD Instinct MI300X"
    assert value_of(gpu.gfx) == "gfx942"
    assert (value_of(gpu.memory_total_mib), value_of(gpu.memory_free_mib)) == (196592, 196309)
    assert value_of(gpu.memory_bus_bits) == 8192
    assert (value_of(gpu.power_draw_w), value_of(gpu.power_limit_w), value_of(gpu.power_limit_max_w)) == (141, 750, 750)
    assert (value_of(gpu.temperature_c), value_of(gpu.utilization_percent)) == (42, 3)
    assert (value_of(gpu.sm_clock_mhz), value_of(gpu.sm_clock_max_mhz)) == (132, 2100)
    assert value_of(gpu.memory_clock_max_mhz) == 1300
    assert (value_of(gpu.pcie_generation), value_of(gpu.pcie_width_max)) == (5, 16)
    assert value_of(gpu.ecc_uncorrected) == 1
    assert value_of(gpu.numa_node) == 1
    assert [(p.name, value_of(p.memory_mib)) for p in value_of(gpu.processes) or ()] == [("python3", 2048)]


def test_devices_are_paired_by_the_topology_and_joined() -> None:
    gpus = gpus_of(read(4))
    assert [gpu.index for gpu in gpus] == [0, 1, 2, 3]
    # The kernel's own figure of each node stays with its device although AMD SMI counts the other way round.
    assert [
        [o.value for o in fact.also] for gpu in gpus if (fact := gpu.sm_clock_max_mhz) and hasattr(fact, "also")
    ] == [
        [],
        ["2101"],
        ["2102"],
        ["2103"],
    ]
    assert value_of(gpus[0].links) == {"1": "XGMI, no P2P", "2": "XGMI", "3": "XGMI"}


def test_what_is_not_supported_is_unknown() -> None:
    (gpu,) = gpus_of(read(none="amdsmi_get_power_info,amdsmi_get_gpu_vram_usage,amdsmi_get_gpu_process_list"))
    assert isinstance(gpu.power_draw_w, Unknown)
    assert isinstance(gpu.processes, Unknown)
    assert value_of(gpu.memory_total_mib) == 196592
    assert isinstance(gpu.memory_free_mib, Unknown)


@pytest.mark.parametrize("function", ["amdsmi_init", "amdsmi_get_gpu_activity"])
def test_a_hang_costs_its_limit(function: str) -> None:
    started = time.monotonic()
    reading = read(limit_s=1.0, hang=function)
    assert time.monotonic() - started < 30
    assert value_of(reading.state) == "hung"
    assert [value_of(gpu.gfx) for gpu in gpus_of(reading)] == ["gfx942"]


def test_what_was_said_before_the_end_is_kept() -> None:
    (gpu,) = gpus_of(read(crash="amdsmi_get_gpu_activity"))
    assert value_of(gpu.memory_total_mib) == 196592
    assert isinstance(gpu.temperature_c, Unknown)


def test_a_crash_and_a_refusal_leave_the_kernel_s_word() -> None:
    for reading in (read(crash="amdsmi_get_gpu_asic_info"), read(init="34")):
        assert value_of(reading.state) == "ready"
        assert [value_of(gpu.gfx) for gpu in gpus_of(reading)] == ["gfx942"]


def test_nothing_is_asked_where_the_binding_is_not_installed(tmp_path: Path) -> None:
    assert _amdsmi.folder(Host(env={"PYTHONPATH": str(tmp_path)})) is None
    assert _amdsmi.folder(Host(root=tmp_path, env={"PYTHONPATH": str(FAKES)})) is None
