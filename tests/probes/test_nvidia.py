"""The NVIDIA probe through the real binding, against a compiled stand-in for the driver's library."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from envcheck.probes import nvidia
from envcheck.schema.facts import Absent, Known, Unknown, is_known, value_of
from envcheck.schema.snapshot import Gpu, Nvidia
from tests.probes.fake_nvml import A100_MIG, GB10, H100, RTX_4090, host


def read(*gpus: str, limit_s: float = 10.0, path: str = "", **settings: str) -> Nvidia:
    evidence = nvidia.collect(host(*gpus, limit_s=limit_s, path=path, **settings))
    assert "SECRET" not in json.dumps(evidence)
    return nvidia.parse(evidence)


def gpus_of(reading: Nvidia) -> tuple[Gpu, ...]:
    assert is_known(reading.gpus)
    return reading.gpus.value


def test_one_gpu_with_every_figure() -> None:
    reading = read(RTX_4090, driver="575.57.08", cuda="12090")
    (gpu,) = gpus_of(reading)
    assert value_of(reading.state) == "ready"
    assert value_of(reading.driver) == "575.57.08"
    assert value_of(reading.cuda_driver) == "12.9"
    assert value_of(gpu.name) == "NVIDIA GeForce RTX 4090"
    assert value_of(gpu.memory_total_mib) == 24564
    assert value_of(gpu.memory_free_mib) == 24564 - 1024
    assert value_of(gpu.memory_reserved_mib) == 512
    assert value_of(gpu.compute_capability) == "8.9"
    assert value_of(gpu.pci_id) == "10de:2684"
    assert (value_of(gpu.pcie_generation), value_of(gpu.pcie_generation_max)) == (1, 5)
    assert (value_of(gpu.pcie_width), value_of(gpu.pcie_width_max)) == (8, 16)
    assert value_of(gpu.memory_bus_bits) == 384
    assert value_of(gpu.memory_clock_max_mhz) == 10501
    assert value_of(gpu.power_draw_w) == 71.5
    assert (value_of(gpu.power_limit_w), value_of(gpu.power_limit_max_w)) == (450.0, 600.0)
    assert value_of(gpu.throttle_reasons) == ("sw_power_cap", "hw_thermal_slowdown")
    assert value_of(gpu.ecc_uncorrected) == 3
    assert value_of(gpu.persistence) is True
    assert value_of(gpu.compute_mode) == "exclusive_process"
    assert isinstance(gpu.mig_slices, Absent)
    assert [(p.name, value_of(p.memory_mib)) for p in value_of(gpu.processes) or ()] == [("python3", 2048)]


def test_no_gpu_is_absent_and_not_unknown() -> None:
    reading = read()
    assert value_of(reading.state) == "no_devices"
    assert isinstance(reading.gpus, Absent)


@pytest.mark.parametrize("count", [8, 16])
def test_many_gpus_joined_by_a_switch(count: int) -> None:
    gpus = gpus_of(read(*[H100] * count))
    assert [gpu.index for gpu in gpus] == list(range(count))
    links = value_of(gpus[3].links)
    assert links is not None
    assert links == {str(n): "NV18" for n in range(count) if n != 3}


def test_mixed_generations_without_peer_access() -> None:
    first, second = gpus_of(read(RTX_4090, GB10))
    assert value_of(first.links) == {"1": "PHB, no P2P"}
    assert value_of(second.compute_capability) == "12.1"


def test_mig_slices_by_profile() -> None:
    (gpu,) = gpus_of(read(A100_MIG))
    assert value_of(gpu.mig_mode) is True
    assert value_of(gpu.mig_slices) == ("1g.10gb", "1g.10gb")


def test_gb10_has_unknown_memory_and_never_zero() -> None:
    (gpu,) = gpus_of(read(GB10))
    assert gpu.kind == "integrated"
    assert isinstance(gpu.memory_total_mib, Unknown)
    assert "unified" in gpu.memory_total_mib.why


def test_half_of_the_questions_are_not_supported() -> None:
    (gpu,) = gpus_of(read(RTX_4090, half="1"))
    for fact in (
        gpu.pcie_generation,
        gpu.ecc_uncorrected,
        gpu.power_limit_w,
        gpu.utilization_percent,
        gpu.compute_mode,
    ):
        assert isinstance(fact, Unknown)
    assert value_of(gpu.power_draw_w) == 71.5
    assert value_of(gpu.memory_total_mib) == 24564


@pytest.mark.parametrize(
    ("code", "state"), [("9", "no_devices"), ("18", "version_mismatch"), ("4", "permission"), ("999", "failed")]
)
def test_refusals(code: str, state: str) -> None:
    reading = read(RTX_4090, init_rc=code)
    assert value_of(reading.state) == state
    assert isinstance(reading.state_detail, Known)


@pytest.mark.parametrize("function", ["nvmlInit", "nvmlSystemGetDriverVersion"])
def test_a_hanging_driver_costs_its_limit(function: str) -> None:
    started = time.monotonic()
    reading = read(RTX_4090, limit_s=1.0, hang=function)
    assert time.monotonic() - started < 40
    assert value_of(reading.state) == "hung"
    assert isinstance(reading.gpus, Unknown)


def test_a_hang_keeps_what_was_said_before() -> None:
    three = (H100, H100, RTX_4090)
    reading = read(*three, limit_s=6.0, hang="nvmlDeviceGetName", at="1", driver="580.95.05")
    gpus = gpus_of(reading)
    assert value_of(reading.state) == "hung"
    assert value_of(reading.driver) == "580.95.05"
    assert [value_of(gpu.memory_total_mib) for gpu in gpus] == [81559, None, None]


def test_a_crash_is_a_reading() -> None:
    reading = read(RTX_4090, crash="nvmlDeviceGetTemperature")
    (gpu,) = gpus_of(reading)
    assert value_of(reading.state) == "crashed"
    assert value_of(gpu.compute_capability) == "8.9"


def test_a_lost_gpu_keeps_its_place() -> None:
    reading = read(H100, H100, lost="0")
    lost, other = gpus_of(reading)
    assert value_of(reading.state) == "failed"
    assert isinstance(lost.name, Unknown)
    assert "nvmlReturn_t 15" in lost.name.why
    assert value_of(other.memory_total_mib) == 81559


def test_a_fabric_that_is_not_up() -> None:
    assert value_of(read(H100, fabric="2").state) == "fabric_manager"
    assert value_of(read(H100, fabric="3").state) == "ready"


def test_nvidia_smi_is_asked_when_nvml_refuses(tmp_path: Path) -> None:
    stub = tmp_path / "nvidia-smi"
    stub.write_text(
        "#!/bin/sh\n"
        'case "$1" in *compute_cap*) echo "Field \\"compute_cap\\" is not a valid field to query."; exit 2;; esac\n'
        'printf "0, Tesla P100-PCIE-16GB, 470.82.01, 16280, 16000, 0, 3, 3, 16, 16, 31.5, 250.0, 250.0, '
        '405, 1328, 715, 33, 0, 0, [N/A], Enabled, Default\\n"\n'
    )
    stub.chmod(0o755)
    reading = read(RTX_4090, path=str(tmp_path), init_rc="999")
    (gpu,) = gpus_of(reading)
    assert reading.gpus == Known(value=(gpu,), source="nvidia-smi")
    assert value_of(gpu.name) == "Tesla P100-PCIE-16GB"
    assert gpu.compute_capability == Known(value="6.0", source="hardware table")
    assert value_of(gpu.power_limit_w) == 250.0
    assert value_of(gpu.persistence) is True


def test_nvidia_smi_is_not_started_after_a_hang(tmp_path: Path) -> None:
    stub = tmp_path / "nvidia-smi"
    stub.write_text("#!/bin/sh\nexit 0\n")
    stub.chmod(0o755)
    evidence = nvidia.collect(host(RTX_4090, limit_s=0.7, path=str(tmp_path), hang="nvmlInit"))
    assert "smi" not in evidence
