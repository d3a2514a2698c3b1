# ruff: noqa: E501  files of a machine, line for line as they stand there
"""Writes a folder that stands in for a machine: `/proc`, `/sys`, `/dev`, an environment, programs."""

from __future__ import annotations

from pathlib import Path

from envcheck.host import Host

CPUINFO = """processor	: 0
vendor_id	: GenuineIntel
model name	: Intel(R) Xeon(R) Platinum 8480+
physical id	: 0
core id	: 0
flags		: fpu avx avx2 avx512f amx_bf16
"""
MEMINFO = "MemTotal:       131072000 kB\nMemAvailable:   120000000 kB\nSwapTotal:       2097148 kB\nHugePages_Total:       4\n"
PYVENV = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.12.3\n"
KFD_NODE = "cpu_cores_count 0\nsimd_count 192\ngfx_target_version 110000\ndevice_id 29772\nunique_id 123456789012345\n"


def write(root: Path, files: dict[str, str | bytes]) -> None:
    """Create files by their path on the machine."""
    for name, content in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def tree(root: Path, **more: str | bytes) -> Path:
    """A two-GPU Linux server in a venv, every file that a probe reads present."""
    site = "/opt/venv/lib/python3.12/site-packages"
    files: dict[str, str | bytes] = {
        "/etc/os-release": 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="22.04"\n',
        "/etc/group": "root:x:0:\nvideo:x:44:\nrender:x:110:\n",
        "/proc/version": "Linux version 6.8.0-45-generic (buildd@host) (gcc)\n",
        "/proc/sys/kernel/osrelease": "6.8.0-45-generic\n",
        "/proc/sys/kernel/arch": "x86_64\n",
        "/proc/cpuinfo": CPUINFO,
        "/proc/meminfo": MEMINFO,
        "/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-1.scope\n",
        "/proc/self/limits": "Max locked memory         8388608              8388608              bytes\n",
        "/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=UUID=0 iommu=pt quiet\n",
        "/sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
        "/sys/fs/cgroup/user.slice/user-1000.slice/memory.max": "34359738368\n",
        "/sys/fs/cgroup/user.slice/cpu.max": "400000 100000\n",
        "/sys/devices/system/cpu/cpu0/topology/physical_package_id": "0\n",
        "/sys/devices/system/cpu/cpu0/topology/core_id": "0\n",
        "/sys/devices/system/cpu/cpu1/topology/physical_package_id": "0\n",
        "/sys/devices/system/cpu/cpu1/topology/core_id": "1\n",
        "/sys/devices/system/node/node0/cpulist": "0-1\n",
        "/sys/class/dmi/id/sys_vendor": "QEMU\n",
        "/sys/class/dmi/id/product_name": "Standard PC (Q35 + ICH9, 2009)\n",
        "/sys/kernel/iommu_groups/0/type": "DMA-FQ\n",
        "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": b"\x06\x00\x00\x00\x01",
        "/sys/module/nvidia/version": "550.54.14\n",
        "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n",
        "/proc/driver/nvidia/gpus/0000:65:00.0/information": (
            "Model: \t\t NVIDIA GeForce RTX 3090\nIRQ:   \t\t 172\nGPU UUID: \t GPU-0aaaaaaa-1111-2222-3333-444444444444\n"
        ),
        "/dev/nvidia0": "",
        "/dev/nvidiactl": "",
        "/dev/kfd": "",
        "/dev/dri/renderD128": "",
        **_pci("0000:65:00.0", "10de", "2204"),
        **_pci("0000:b3:00.0", "1002", "744c"),
        "/sys/bus/pci/devices/0000:b3:00.0/mem_info_vram_total": "25753026560\n",
        "/sys/bus/pci/devices/0000:b3:00.0/mem_info_vram_used": "1073741824\n",
        "/sys/bus/pci/devices/0000:b3:00.0/revision": "0xc8\n",
        "/sys/module/amdgpu/version": "6.12.12\n",
        "/sys/class/kfd/kfd/topology/nodes/0/properties": "cpu_cores_count 2\nsimd_count 0\ngfx_target_version 0\n",
        "/sys/class/kfd/kfd/topology/nodes/1/properties": KFD_NODE,
        "/opt/rocm/.info/version": "6.4.1-83\n",
        "/usr/share/libdrm/amdgpu.ids": "744C,\tC8,\tAMD Radeon RX 7900 XTX\n",
        "/opt/venv/pyvenv.cfg": PYVENV,
        "/opt/venv/bin/python": "",
        "/opt/venv/pip.conf": "[global]\nindex-url = https://download.pytorch.org/whl/cpu\n",
        f"{site}/torch/version.py": "__version__ = '2.6.0+cu124'\ncuda: Optional[str] = '12.4'\nhip: Optional[str] = None\n",
        f"{site}/torch-2.6.0+cu124.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 2.6.0+cu124\n\ntext",
        f"{site}/nvidia/cuda_runtime/lib/libcudart.so.12": "",
        f"{site}/rich-14.0.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: rich\nVersion: 14.0.0\n\n",
        "/etc/docker/daemon.json": '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}',
        "/etc/cdi/nvidia.yaml": (
            "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n  - name: '0'\n  - name: all\n"
            "containerEdits:\n  mounts:\n  - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.535.104.05\n"
        ),
        "/usr/local/cuda/bin/nvcc": "",
        "/usr/local/cuda/version.json": '{"cuda_nvcc": {"name": "CUDA NVCC", "version": "12.4.131"}}',
    }
    write(root, files | more)
    return root


def _pci(address: str, vendor: str, device: str) -> dict[str, str | bytes]:
    folder = f"/sys/bus/pci/devices/{address}"
    return {
        f"{folder}/vendor": f"0x{vendor}\n",
        f"{folder}/device": f"0x{device}\n",
        f"{folder}/class": "0x030000\n",
        f"{folder}/current_link_speed": "2.5 GT/s PCIe\n",
        f"{folder}/max_link_speed": "16.0 GT/s PCIe\n",
        f"{folder}/current_link_width": "16\n",
        f"{folder}/max_link_width": "16\n",
    }


def host(root: Path, env: dict[str, str] | None = None, level: int = 0) -> Host:
    """The tree as a machine, with nothing on PATH."""
    variables = {"HOME": "/home/someone", "PATH": "", "VIRTUAL_ENV": "/opt/venv"}
    return Host(root=root, env=variables | (env or {}), level=level)
