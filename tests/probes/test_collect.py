"""From a written `/proc`, `/sys` and environment to the readings: collecting and parsing together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from envcheck import discover
from envcheck.host import Host
from envcheck.schema.facts import Absent, Known, Unknown, value_of
from tests.probes.machine_tree import host, tree, write


def read(section: str, machine: Host) -> Any:
    probe = discover.load("envcheck.probes", section, "PROBE")
    evidence = probe.collect(machine)
    assert msgspec.json.decode(msgspec.json.encode(evidence)) == evidence
    return probe.parse(evidence)


@pytest.fixture
def machine(tmp_path: Path) -> Host:
    return host(tree(tmp_path))


def test_os(machine: Host) -> None:
    reading = read("os", machine)
    assert value_of(reading.distro) == "ubuntu 22.04"
    assert value_of(reading.kernel) == "6.8.0-45-generic"
    assert value_of(reading.arch) == "x86_64"
    assert value_of(reading.secure_boot) is True
    assert value_of(reading.virtual_machine) == "qemu"
    assert value_of(reading.iommu) == "DMA-FQ iommu=pt"
    assert value_of(reading.ulimits) == {"memlock": "8388608"}
    assert isinstance(reading.container, Absent)


@pytest.mark.parametrize(
    ("files", "variables", "runtime"),
    [
        ({"/.dockerenv": ""}, {}, "docker"),
        ({"/run/.containerenv": ""}, {}, "podman"),
        ({"/proc/1/cgroup": "12:memory:/kubepods/burstable/pod123/abc\n"}, {}, "kubernetes"),
        ({}, {"container": "lxc"}, "lxc"),
        ({}, {"APPTAINER_CONTAINER": "/images/x.sif"}, "apptainer"),
    ],
)
def test_containers_betray_themselves(
    tmp_path: Path, files: dict[str, str], variables: dict[str, str], runtime: str
) -> None:
    write(tree(tmp_path), dict(files))
    assert value_of(read("os", host(tmp_path, variables)).container) == runtime


def test_cpu_and_memory_see_the_control_group(machine: Host) -> None:
    cpu, memory = read("cpu", machine), read("memory", machine)
    assert value_of(cpu.name) == "Intel(R) Xeon(R) Platinum 8480+"
    assert value_of(cpu.cores) == 2
    assert "amx_bf16" in (value_of(cpu.flags) or ())
    assert value_of(memory.ram_total_mib) == 128000
    assert value_of(memory.cgroup_limit_mib) == 32768
    assert value_of(memory.cgroup_cores) == 4.0
    assert value_of(memory.huge_pages) == 4


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "/proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n9:memory:/docker/abc\n",
        "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "8589934592\n",
        "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "150000\n",
        "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
    }
    write(tree(tmp_path), files)
    memory = read("memory", host(tmp_path))
    assert value_of(memory.cgroup_limit_mib) == 8192
    assert value_of(memory.cgroup_cores) == 1.5


def test_nvidia_from_files_alone(machine: Host) -> None:
    reading = read("nvidia", machine)
    assert value_of(reading.driver) == "550.54.14"
    assert value_of(reading.state) == "library_missing"
    gpus = value_of(reading.gpus)
    assert gpus is not None
    (gpu,) = gpus
    assert value_of(gpu.name) == "NVIDIA GeForce RTX 3090"
    assert value_of(gpu.pcie_generation_max) == 4
    assert gpu.compute_capability == Known(value="8.6", source="hardware table")


def test_xid_errors_of_the_kernel_log(tmp_path: Path) -> None:
    log = "[1.0] NVRM: Xid (PCI:0000:65:00): 79, pid=1234, GPU has fallen off the bus.\\n"
    log += "[2.0] NVRM: Xid (PCI:0000:65:00): 79, pid=77\\n[3.0] NVRM: Xid (PCI:0000:65:00): 13, Graphics Exception\\n"
    write(tree(tmp_path), {"/bin/dmesg": f"#!/bin/sh\nprintf '{log}'\n"})
    (tmp_path / "bin" / "dmesg").chmod(0o755)
    machine = host(tmp_path, {"PATH": str(tmp_path / "bin")}, level=1)
    gpus = value_of(read("nvidia", machine).gpus)
    assert gpus is not None
    assert value_of(gpus[0].xid_errors) == ("79", "13")


def test_amd_from_files_alone(machine: Host) -> None:
    reading = read("amd", machine)
    gpus = value_of(reading.gpus)
    assert gpus is not None
    (gpu,) = gpus
    assert value_of(reading.rocm) == "6.4.1"
    assert value_of(reading.state) == "ready"
    assert value_of(gpu.gfx) == "gfx1100"
    assert value_of(gpu.name) == "AMD Radeon RX 7900 XTX"
    assert value_of(gpu.memory_total_mib) == 24560
    assert value_of(gpu.memory_free_mib) == 23536


def test_python_from_files_alone(machine: Host) -> None:
    reading = read("python", machine)
    assert value_of(reading.version) == "3.12.3"
    assert value_of(reading.environment) == "venv"
    assert value_of(reading.package("torch")) == "2.6.0+cu124"
    assert value_of(reading.torch.cuda) == "12.4"
    assert isinstance(reading.torch.hip, Absent)
    assert value_of(reading.libraries) == ("libcudart.so.12",)
    assert value_of(reading.configuration) == {"pip:global.index-url": "https://download.pytorch.org/whl/cpu"}


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [
        ("/home/someone/.local/share/uv/tools/vllm", "uv-tool"),
        ("/home/someone/.local/pipx/venvs/vllm", "pipx"),
        ("/srv/.venv", "venv"),
    ],
)
def test_kinds_of_environment(tmp_path: Path, prefix: str, kind: str) -> None:
    write(
        tmp_path,
        {f"{prefix}/pyvenv.cfg": "home = /usr/bin\nversion_info = 3.11.9.final.0\n", f"{prefix}/bin/python": ""},
    )
    machine = Host(root=tmp_path, env={"PATH": ""}, target_python=f"{prefix}/bin/python", level=0)
    reading = read("python", machine)
    assert value_of(reading.environment) == kind
    assert value_of(reading.version) == "3.11.9"
    assert value_of(reading.externally_managed) is False


def test_a_managed_system_interpreter_with_a_conda_beside_it(tmp_path: Path) -> None:
    site = "/usr/lib/python3/dist-packages"
    write(
        tmp_path,
        {
            "/usr/bin/python3.11": "",
            "/usr/lib/python3.11/EXTERNALLY-MANAGED": "",
            f"{site}/rich-13.0.0.dist-info/METADATA": "",
        },
    )
    reading = read("python", Host(root=tmp_path, env={"PATH": ""}, target_python="/usr/bin/python3.11", level=0))
    assert value_of(reading.externally_managed) is True
    assert value_of(reading.environment) == "system"
    assert value_of(reading.package("rich")) == "13.0.0"
    write(tmp_path, {"/c/bin/python": "", "/c/conda-meta/history": "", "/c/lib/python3.10/site-packages/x.py": ""})
    conda = read("python", Host(root=tmp_path, env={"PATH": "", "CONDA_PREFIX": "/c"}, level=0))
    assert value_of(conda.environment) == "conda"
    assert value_of(conda.version) == "3.10"


def test_toolchain_and_containers(machine: Host) -> None:
    toolchain, containers = read("toolchain", machine), read("containers", machine)
    assert value_of(toolchain.nvcc) == "12.4.131"
    assert value_of(toolchain.python_headers) is False
    assert isinstance(toolchain.gcc, Absent)
    assert value_of(containers.cdi_devices) == ("nvidia.com/gpu=0", "nvidia.com/gpu=all")
    assert value_of(containers.cdi_driver) == "535.104.05"
    assert value_of(containers.runtimes) == ("nvidia",)


def test_wsl(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "/proc/version": "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@x)\n",
        "/dev/dxg": "",
        "/usr/lib/wsl/lib/libcuda.so.1": "",
    }
    write(tmp_path, files)
    assert value_of(read("os", host(tmp_path)).wsl) is True
    nvidia = read("nvidia", host(tmp_path))
    assert isinstance(nvidia.state, Unknown)
    assert isinstance(nvidia.gpus, Unknown)
