"""Forty-two machines that people run LLMs on, or try to: name to evidence. All synthetic."""

from __future__ import annotations

from tests.machines.make import (
    amd,
    containers,
    cpu,
    disk,
    linux,
    machine,
    memory,
    nvidia,
    python,
    toolchain,
)

UBUNTU_20, UBUNTU_22 = (
    linux("ubuntu 20.04", "5.4.0-200-generic", "2.31"),
    linux("ubuntu 22.04", "5.15.0-120-generic", "2.35"),
)
UBUNTU_24, DEBIAN_12 = linux("ubuntu 24.04", "6.8.0-45-generic", "2.39"), linux("debian 12", "6.1.0-25-amd64", "2.36")
ROCKY_8, ROCKY_9 = linux("rocky 8.10", "4.18.0-553.el8", "2.28"), linux("rocky 9.4", "5.14.0-427.el9", "2.34")
CENTOS_7 = linux("centos 7", "3.10.0-1160.el7", "2.17")
ALPINE = linux("alpine 3.20.3", "6.6.58-0-lts", "musl")
IN_DOCKER = linux("ubuntu 22.04", "6.8.0-45-generic", "2.35", container=["docker"])
WSL = linux("ubuntu 24.04", "5.15.167.4-microsoft-standard-WSL2", "2.39", wsl=["microsoft", "WSL2"], dxg=True)
ARM = linux("ubuntu 24.04", "6.11.0-1014-nvidia", "2.39", arch="aarch64")

AVX2, AVX512 = "sse4_2 avx avx2 fma f16c bmi2", "sse4_2 avx avx2 fma f16c avx512f avx512bw avx512vl avx512_vnni"
AMX = AVX512 + " avx512_bf16 amx_tile amx_int8 amx_bf16"
RYZEN, I9 = (
    cpu("AMD Ryzen 9 7950X 16-Core Processor", 16, AVX512),
    cpu("13th Gen Intel(R) Core(TM) i9-13900K", 24, AVX2, threads=1),
)
XEON, EPYC = (
    cpu("Intel(R) Xeon(R) Platinum 8480+", 112, AMX, sockets=2),
    cpu("AMD EPYC 7763 64-Core Processor", 128, AVX2, sockets=2),
)
OLD_XEON = cpu("Intel(R) Xeon(R) CPU X5650 @ 2.67GHz", 6, "sse4_2 ssse3")
LAPTOP, SMALL = cpu("AMD Ryzen 7 7840HS", 8, AVX512), cpu("Intel(R) Xeon(R) CPU @ 2.20GHz", 2, AVX2, threads=1)
GRACE = cpu("Neoverse-V2", 72, "asimd sve sve2 bf16 i8mm", threads=1)

RTX_4090, RTX_3090 = (
    ("NVIDIA GeForce RTX 4090", 24564, "8.9", "2684"),
    ("NVIDIA GeForce RTX 3090", 24576, "8.6", "2204"),
)
RTX_5090, RTX_5080 = (
    ("NVIDIA GeForce RTX 5090", 32607, "12.0", "2b85"),
    ("NVIDIA GeForce RTX 5080", 16303, "12.0", "2c02"),
)
RTX_3060, RTX_2080 = (
    ("NVIDIA GeForce RTX 3060", 12288, "8.6", "2504"),
    ("NVIDIA GeForce RTX 2080 Ti", 11264, "7.5", "1e04"),
)
GTX_1080, GTX_970 = (
    ("NVIDIA GeForce GTX 1080 Ti", 11264, "6.1", "1b06"),
    ("NVIDIA GeForce GTX 970", 4096, "5.2", "13c2"),
)
LAPTOP_4070, MAX_Q = (
    ("NVIDIA GeForce RTX 4070 Laptop GPU", 8188, "8.9", "2860"),
    ("NVIDIA GeForce RTX 2080 with Max-Q Design", 8192, "7.5", "1e90"),
)
H100, H200 = ("NVIDIA H100 80GB HBM3", 81559, "9.0", "2330"), ("NVIDIA H200", 143771, "9.0", "2335")
A100, V100 = ("NVIDIA A100-SXM4-80GB", 81920, "8.0", "20b2"), ("Tesla V100-SXM2-32GB", 32768, "7.0", "1db5")
T4, L4, P100 = (
    ("Tesla T4", 15360, "7.5", "1eb8"),
    ("NVIDIA L4", 23034, "8.9", "27b8"),
    ("Tesla P100-PCIE-16GB", 16384, "6.0", "15f8"),
)
K80, B200 = ("Tesla K80", 11441, "3.7", "102d"), ("NVIDIA B200", 183359, "10.0", "2901")
GB10, A6000 = ("NVIDIA GB10", 0, "12.1", "2e12"), ("NVIDIA RTX A6000", 49140, "8.6", "2230")

VLLM = (("torch", "2.13.0+cu130"), ("transformers", "5.19.0"), ("vllm", "0.32.0"), ("numpy", "2.4.6"))
OLLAMA = {"ollama": {"found": True, "version": "0.12.3"}}
UHD = {"id": "8086:a780", "driver": "i915", "name": "Raptor Lake-S GT1 [UHD Graphics 770]"}
ARC = {"id": "8086:56a0", "driver": "xe", "speed_max": "16.0 GT/s PCIe", "width_max": "16", "name": "DG2 [Arc A770]"}
CLOSED = {"/dev/kfd": {"open": False, "group": "render"}, "/dev/dri/renderD128": {"open": False, "group": "render"}}


def mac(chip: str, gib: int) -> dict[str, object]:
    """What sysctl says on a Mac."""
    return {
        "platform": "darwin",
        "sysctl": {"machdep.cpu.brand_string": chip, "hw.memsize": str(gib * 1024**3), "iogpu.wired_limit_mb": "0"},
    }


def mac_os(version: str) -> dict[str, object]:
    """Evidence of `os` on a Mac."""
    return {
        "platform": "darwin",
        "release": "24.1.0",
        "machine": "arm64",
        "macos": version,
        "os_release": {},
        "libc": "",
    }


def mac_cpu(chip: str, cores: int) -> dict[str, object]:
    """Evidence of `cpu` on a Mac."""
    said = {
        "machdep.cpu.brand_string": chip,
        "hw.physicalcpu": str(cores),
        "hw.logicalcpu": str(cores),
        "hw.optional.arm64": "1",
    }
    return {"cpuinfo": {}, "topology": [], "affinity": cores, "sysctl": said}


MACHINES = {
    # GeForce and workstation cards
    "ubuntu24-rtx4090": machine(
        UBUNTU_24,
        RYZEN,
        memory(64),
        nvidia=nvidia([RTX_4090], "575.57.08", 12090),
        python=python("3.12.4", "venv", *VLLM),
    ),
    "ubuntu24-rtx5090": machine(
        UBUNTU_24,
        RYZEN,
        memory(96),
        nvidia=nvidia([RTX_5090], "580.95.05", 13000),
        python=python("3.12.4", "uv-tool", *VLLM),
    ),
    "ubuntu22-rtx5080-cu126-torch": machine(
        UBUNTU_22,
        I9,
        memory(64),
        nvidia=nvidia([RTX_5080], "570.124.06", 12080),
        python=python("3.11.9", "venv", ("torch", "2.6.0+cu126")),
    ),
    "ubuntu22-2x-rtx3090": machine(
        UBUNTU_22,
        RYZEN,
        memory(128),
        nvidia=nvidia([RTX_3090] * 2, "550.54.14", 12040),
        toolchain=toolchain("11.4.0", "12.4.131"),
    ),
    "debian12-rtx3060-ollama": machine(
        DEBIAN_12, I9, memory(32), nvidia=nvidia([RTX_3060], "535.183.01", 12020), programs=OLLAMA
    ),
    "rocky9-4x-a6000": machine(
        ROCKY_9,
        EPYC,
        memory(512),
        nvidia=nvidia([A6000] * 4, "570.124.06", 12080),
        containers=containers("27.5.1", "1.17.4"),
    ),
    "ubuntu20-rtx2080ti-old-driver": machine(UBUNTU_20, I9, memory(32), nvidia=nvidia([RTX_2080], "470.82.01", 11040)),
    "ubuntu22-gtx1080ti": machine(
        UBUNTU_22,
        I9,
        memory(32),
        nvidia=nvidia([GTX_1080], "570.124.06", 12080),
        python=python("3.10.12", "system", ("torch", "2.8.0+cu128")),
    ),
    "debian12-gtx970": machine(DEBIAN_12, OLD_XEON, memory(16), nvidia=nvidia([GTX_970], "550.54.14", 12040)),
    "ubuntu24-laptop-rtx4070": machine(UBUNTU_24, LAPTOP, memory(32), nvidia=nvidia([LAPTOP_4070], "575.57.08", 12090)),
    "ubuntu22-laptop-max-q": machine(UBUNTU_22, LAPTOP, memory(16), nvidia=nvidia([MAX_Q], "535.183.01", 12020)),
    "ubuntu24-mixed-generations": machine(
        UBUNTU_24, RYZEN, memory(64), nvidia=nvidia([RTX_5090, RTX_3090, GTX_1080], "580.95.05", 13000)
    ),
    # Data centers
    "ubuntu22-8x-h100": machine(
        UBUNTU_22,
        XEON,
        memory(2000),
        disk=disk(4000),
        nvidia=nvidia([H100] * 8, "580.95.05", 13000),
        python=python("3.12.4", "venv", *VLLM),
    ),
    "ubuntu22-8x-h200-fabric-down": machine(
        UBUNTU_22, XEON, memory(2000), nvidia=nvidia([H200] * 8, "570.124.06", 12080, "fabric")
    ),
    "ubuntu24-8x-b200": machine(
        UBUNTU_24,
        XEON,
        memory(2000),
        nvidia=nvidia([B200] * 8, "580.95.05", 13000),
        python=python("3.12.4", "conda", *VLLM),
    ),
    "rocky8-4x-a100": machine(
        ROCKY_8,
        EPYC,
        memory(1000),
        nvidia=nvidia([A100] * 4, "535.104.05", 12020),
        toolchain=toolchain("8.5.0", "11.8.89"),
    ),
    "ubuntu22-a100-mig": machine(UBUNTU_22, EPYC, memory(256), nvidia=nvidia([A100], "550.54.14", 12040, "mig")),
    "centos7-v100": machine(
        CENTOS_7,
        XEON,
        memory(256),
        nvidia=nvidia([V100] * 2, "470.82.01", 11040),
        python=python("3.9.18", "conda", ("torch", "2.0.1+cu118")),
    ),
    "ubuntu22-t4-cloud": machine(
        UBUNTU_22, SMALL, memory(13, shm_gib=6), disk=disk(40), nvidia=nvidia([T4], "550.54.15", 12040)
    ),
    "debian12-l4-in-docker-small-shm": machine(
        IN_DOCKER, SMALL, memory(64, limit_gib=16, shm_gib=0.0625), nvidia=nvidia([L4], "580.65.06", 13000)
    ),
    "ubuntu20-p100": machine(UBUNTU_20, EPYC, memory(128), nvidia=nvidia([P100], "535.183.01", 12020)),
    "centos7-k80": machine(CENTOS_7, OLD_XEON, memory(64), nvidia=nvidia([K80] * 2, "450.80.02", 11000)),
    "ubuntu24-gb10": machine(ARM, GRACE, memory(119), nvidia=nvidia([GB10], "580.95.05", 13000)),
    # NVIDIA stacks that do not work
    "ubuntu22-rtx4090-mismatch": machine(
        UBUNTU_22, RYZEN, memory(64), nvidia=nvidia([RTX_4090], "575.57.08", 12090, "mismatch", kernel="550.54.14")
    ),
    "ubuntu24-rtx3090-uvm-missing": machine(
        UBUNTU_24, RYZEN, memory(64), nvidia=nvidia([RTX_3090], "575.57.08", 12090, "uvm")
    ),
    "debian12-rtx3060-module-not-loaded": machine(
        linux("debian 12", "6.1.0-25-amd64", "2.36", secure_boot=1),
        I9,
        memory(32),
        nvidia=nvidia([RTX_3060], "535.183.01", 12020, "no_module"),
    ),
    "ubuntu22-2x-rtx3090-hung": machine(
        UBUNTU_22, RYZEN, memory(64), nvidia=nvidia([RTX_3090] * 2, "550.54.14", 12040, "hung")
    ),
    "ubuntu24-rtx4090-no-permission": machine(
        UBUNTU_24, RYZEN, memory(64), nvidia=nvidia([RTX_4090], "575.57.08", 12090, "closed")
    ),
    "ubuntu22-rtx4090-hidden": machine(
        UBUNTU_22, RYZEN, memory(64), nvidia=nvidia([RTX_4090], "575.57.08", 12090), env={"CUDA_VISIBLE_DEVICES": "-1"}
    ),
    # WSL
    "wsl2-rtx4090": machine(
        WSL,
        I9,
        memory(32),
        nvidia=nvidia([RTX_4090], "576.57", 12090)
        | {
            "nodes": ["dxg"],
            "pci": [],
            "kernel": {"module": False},
            "libraries": {"libcuda.so.1": "wsl", "libnvidia-ml.so.1": "wsl"},
        },
    ),
    "wsl2-without-gpu": machine(WSL, LAPTOP, memory(8)),
    # AMD
    "ubuntu24-rx7900xtx": machine(
        UBUNTU_24,
        RYZEN,
        memory(64),
        amd=amd(110000, "744c", "Radeon RX 7900 XTX", 24),
        python=python("3.12.4", "venv", ("torch", "2.9.1+rocm6.4")),
    ),
    "ubuntu24-rx9070xt": machine(
        UBUNTU_24, RYZEN, memory(32), amd=amd(120001, "7550", "AMD Radeon RX 9070 XT", 16, rocm="7.0.2")
    ),
    "ubuntu22-8x-mi300x": machine(
        UBUNTU_22, EPYC, memory(2000), amd=amd(90402, "74a1", "AMD Instinct MI300X", 192, 8, "6.3.0")
    ),
    "ubuntu24-strix-halo": machine(
        UBUNTU_24,
        cpu("AMD RYZEN AI MAX+ 395", 16, AVX512),
        memory(62),
        amd=amd(110501, "1586", "Radeon 8060S Graphics", 0.5, rocm=""),
    ),
    "ubuntu22-rx6700xt-no-permission": machine(
        linux("ubuntu 22.04", "6.8.0", "2.35", devices=CLOSED, groups=["users"]),
        RYZEN,
        memory(32),
        amd=amd(100301, "73df", "AMD Radeon RX 6700 XT", 12, closed=["kfd", "dri/renderD128"]),
    ),
    # Intel, Apple, processors alone
    "ubuntu24-arc-a770-beside-uhd": machine(
        UBUNTU_24,
        I9,
        memory(32),
        intel={
            "pci": [UHD, ARC],
            "modules": ["xe", "i915"],
            "libraries": {"libze_loader.so.1": "1.17.6", "libze_intel_gpu.so.1": "present"},
            "memory": ["17079205888"],
        },
    ),
    "macos15-m3-max-64": machine(
        mac_os("15.1"),
        mac_cpu("Apple M3 Max", 16),
        {"meminfo": {}, "psutil": {"total": 64 * 1024**3, "available": 40 * 1024**3, "swap": 0}},
        apple=mac("Apple M3 Max", 64),
    ),
    "macos14-m1-8": machine(
        mac_os("14.7"),
        mac_cpu("Apple M1", 8),
        {"meminfo": {}, "psutil": {"total": 8 * 1024**3, "available": 2 * 1024**3, "swap": 0}},
        apple=mac("Apple M1", 8),
        programs=OLLAMA,
    ),
    "debian12-2-cores": machine(
        DEBIAN_12, SMALL, memory(24), python=python("3.11.7", "system", ("torch", "2.13.0+cpu"))
    ),
    "ubuntu22-no-avx": machine(UBUNTU_22, OLD_XEON, memory(48)),
    "alpine-container": machine(ALPINE, SMALL, memory(8, limit_gib=2), disk=disk(3)),
}
