"""All readings of one machine: what probes parse, importers reconstruct and `--assume` states.

Every leaf is a three-valued fact, so a pasted fragment and a full snapshot have the same type. Units are in the names
(`_mib`, `_mhz`, `_w`, `_c`); versions are text in the notation of their source ("575.57.08", "12.9").
"""

from __future__ import annotations

from typing import Literal

from envcheck.schema.facts import (
    NOT_READ,
    Absent,
    BoolFact,
    FloatFact,
    IntFact,
    Known,
    Record,
    TextFact,
    TextsFact,
    Unknown,
    value_of,
)

Vendor = Literal["nvidia", "amd", "intel", "apple", "other"]


class Os(Record):
    """The operating system as the target environment sees it (inside the container, where there is one)."""

    family: TextFact = NOT_READ
    """ "linux", "windows" or "macos"."""
    distro: TextFact = NOT_READ
    kernel: TextFact = NOT_READ
    arch: TextFact = NOT_READ
    """"x86_64", "aarch64" or "arm64" as `uname -m` prints it."""
    libc: TextFact = NOT_READ
    """"glibc" or "musl"."""
    glibc: TextFact = NOT_READ
    wsl: BoolFact = NOT_READ
    container: TextFact = NOT_READ
    """Which container runtime this process is inside of; absent on a bare host."""
    virtual_machine: TextFact = NOT_READ
    secure_boot: BoolFact = NOT_READ
    iommu: TextFact = NOT_READ
    acs: TextFact = NOT_READ
    """Access Control Services of the PCI bridges: "off", or "on: 2 of 6 bridges" where some send traffic between GPUs
    through the root complex; absent where no bridge has it."""
    device_access: Known[dict[str, bool]] | Absent | Unknown = NOT_READ
    """Device node ("/dev/kfd", "/dev/nvidia0") to whether this user may open it."""
    device_groups: Known[dict[str, str]] | Absent | Unknown = NOT_READ
    """Device node to the group that owns it ("render", "video"; any other is "other")."""
    groups: TextsFact = NOT_READ
    """Those of the groups render, video, docker, nvidia, kvm and root that this user is in."""
    ulimits: Known[dict[str, str]] | Absent | Unknown = NOT_READ


class Cpu(Record):
    """The processor; `cores` are logical and already limited by affinity and cgroup where those were read."""

    name: TextFact = NOT_READ
    cores: IntFact = NOT_READ
    physical_cores: IntFact = NOT_READ
    sockets: IntFact = NOT_READ
    numa_nodes: IntFact = NOT_READ
    flags: TextsFact = NOT_READ
    """ISA flags in the kernel's lower-case spelling ("avx2", "avx512f", "amx_bf16", "asimd", "sve")."""
    hypervisor: TextFact = NOT_READ
    memory_bandwidth_gbs: FloatFact = NOT_READ
    """Measured (opt-in level); GB/s."""


class Memory(Record):
    """Main memory of the host and what this process may use of it."""

    ram_total_mib: IntFact = NOT_READ
    ram_available_mib: IntFact = NOT_READ
    swap_total_mib: IntFact = NOT_READ
    cgroup_limit_mib: IntFact = NOT_READ
    cgroup_cores: FloatFact = NOT_READ
    shm_total_mib: IntFact = NOT_READ
    shm_free_mib: IntFact = NOT_READ
    huge_pages: IntFact = NOT_READ
    transparent_huge_pages: TextFact = NOT_READ
    """"always", "madvise" or "never"."""


class DiskSpace(Record):
    """Room on the file system that holds something envcheck cares about."""

    purpose: str
    """"target", "models", "temp" or "home"."""
    free_mib: IntFact = NOT_READ
    total_mib: IntFact = NOT_READ
    writable: BoolFact = NOT_READ


class Disk(Record):
    """Disk space by purpose."""

    spaces: tuple[DiskSpace, ...] = ()

    def free_mib(self, purpose: str) -> IntFact:
        """Free space for `purpose`; unknown where nobody looked."""
        for space in self.spaces:
            if space.purpose == purpose:
                return space.free_mib
        return NOT_READ


class GpuProcess(Record):
    """A process that holds GPU memory: its program name only, never its arguments or owner."""

    name: str
    memory_mib: IntFact = NOT_READ


class Gpu(Record):
    """One device, counted from zero per vendor in driver order."""

    index: int
    vendor: Vendor
    name: TextFact = NOT_READ
    kind: Literal["discrete", "integrated", "unknown"] = "unknown"
    memory_total_mib: IntFact = NOT_READ
    memory_free_mib: IntFact = NOT_READ
    memory_reserved_mib: IntFact = NOT_READ
    memory_shared_mib: IntFact = NOT_READ
    """Main memory that the driver lends the GPU on top of `memory_total_mib` (an integrated GPU's GTT)."""
    compute_capability: TextFact = NOT_READ
    """NVIDIA only, "8.9"."""
    gfx: TextFact = NOT_READ
    """AMD only, "gfx1100"."""
    pci_id: TextFact = NOT_READ
    """Vendor and device id "10de:2684"; never the bus address."""
    pcie_generation: IntFact = NOT_READ
    pcie_generation_max: IntFact = NOT_READ
    pcie_width: IntFact = NOT_READ
    pcie_width_max: IntFact = NOT_READ
    memory_bus_bits: IntFact = NOT_READ
    memory_clock_max_mhz: IntFact = NOT_READ
    sm_clock_mhz: IntFact = NOT_READ
    sm_clock_max_mhz: IntFact = NOT_READ
    power_draw_w: FloatFact = NOT_READ
    power_limit_w: FloatFact = NOT_READ
    power_limit_max_w: FloatFact = NOT_READ
    temperature_c: IntFact = NOT_READ
    utilization_percent: IntFact = NOT_READ
    throttle_reasons: TextsFact = NOT_READ
    ecc_uncorrected: IntFact = NOT_READ
    xid_errors: TextsFact = NOT_READ
    """Codes of the NVIDIA driver's error reports in the kernel log since it began."""
    xid_counts: Known[dict[str, int]] | Absent | Unknown = NOT_READ
    """Each of those codes to how often it was logged."""
    mig_mode: BoolFact = NOT_READ
    mig_slices: TextsFact = NOT_READ
    """MIG profile names ("1g.10gb"), absent when MIG is off."""
    persistence: BoolFact = NOT_READ
    compute_mode: TextFact = NOT_READ
    numa_node: IntFact = NOT_READ
    """The NUMA node whose memory and processors are nearest."""
    links: Known[dict[str, str]] | Absent | Unknown = NOT_READ
    """Other GPU's index to how it is reached ("NV12", "PHB", "P2P", "no P2P")."""
    processes: Known[tuple[GpuProcess, ...]] | Absent | Unknown = NOT_READ


GpusFact = Known[tuple[Gpu, ...]] | Absent | Unknown


class Nvidia(Record):
    """NVIDIA's driver stack and its GPUs.

    Four different CUDA versions exist; here are two: `driver` (kernel module) and `cuda_driver` (the newest runtime
    that the user-mode driver serves in full). The runtime in a wheel and the toolkit are packages and toolchain.
    """

    driver: TextFact = NOT_READ
    user_mode_driver: TextFact = NOT_READ
    cuda_driver: TextFact = NOT_READ
    state: TextFact = NOT_READ
    """"ready", or what stands between the hardware and its use: "module_not_loaded", "version_mismatch",
    "uvm_missing", "fabric_manager", "permission", "no_devices", "library_missing", "hung", "crashed", "failed"."""
    state_detail: TextFact = NOT_READ
    compat_library: TextFact = NOT_READ
    """Version of a `cuda-compat` libcuda in the loader's path; absent without one."""
    gpus: GpusFact = NOT_READ


class Amd(Record):
    """AMD's kernel driver, ROCm user space and GPUs."""

    driver: TextFact = NOT_READ
    rocm: TextFact = NOT_READ
    state: TextFact = NOT_READ
    state_detail: TextFact = NOT_READ
    gpus: GpusFact = NOT_READ


class Intel(Record):
    """Intel GPUs and whether Level Zero can drive them."""

    driver: TextFact = NOT_READ
    level_zero: TextFact = NOT_READ
    gpus: GpusFact = NOT_READ


class Apple(Record):
    """Apple silicon: one unified memory, and the part of it Metal may wire down."""

    chip: TextFact = NOT_READ
    metal_working_set_mib: IntFact = NOT_READ
    gpus: GpusFact = NOT_READ


class Package(Record):
    """One installed distribution."""

    name: str
    """Normalised (PEP 503)."""
    version: str
    """With the local part ("2.7.0+cu128")."""
    build_tag: str = ""
    origin: str = ""
    """"index", "url", "editable", "conda" … where known."""
    wheel_tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    """Requirement lines of its metadata; only kept for the packages that rules look into."""
    requires_python: str = ""
    needs_libraries: tuple[str, ...] = ()
    """Shared objects that its compiled modules need and that it does not ship itself (ELF NEEDED); for few packages."""
    needs_glibc: str = ""
    """Newest GLIBC symbol version that its compiled modules ask for ("2.34")."""
    needs_glibcxx: str = ""
    """Newest GLIBCXX symbol version of libstdc++ that its compiled modules ask for ("3.4.30")."""
    numpy_abi: str = ""
    """Major version of NumPy that its compiled modules were built for: "1", "2" (runs under both) or ""."""


class TorchBuild(Record):
    """What `import torch` said in the target interpreter (level 2), or what a report printed about it."""

    version: TextFact = NOT_READ
    cuda: TextFact = NOT_READ
    """`torch.version.cuda`: the runtime inside the wheel; absent for CPU and ROCm builds."""
    hip: TextFact = NOT_READ
    arch_list: TextsFact = NOT_READ
    cuda_available: BoolFact = NOT_READ
    device_count: IntFact = NOT_READ
    cu_init: IntFact = NOT_READ
    """Return code of `cuInit(0)`."""
    cuda_driver: TextFact = NOT_READ
    """What `cuDriverGetVersion` gave in the target interpreter ("13.0")."""
    kernels: Known[dict[str, str]] | Absent | Unknown = NOT_READ
    """GPU index to "ok" or the error of a small matrix product there (level 3)."""
    import_error: TextFact = NOT_READ
    cxx11_abi: BoolFact = NOT_READ


DamageKind = Literal[
    "missing",
    "truncated",
    "changed",
    "foreign",
    "no_record",
    "broken_metadata",
    "duplicate",
    "built_for_numpy_1",
]
"""How a distribution differs from what its RECORD says, or from what the packages beside it need."""


class Damage(Record):
    """A difference between a distribution's RECORD and the disk."""

    package: str
    kind: DamageKind
    count: int
    example: str = ""
    """A path relative to site-packages."""


class Python(Record):
    """The target interpreter and everything installed for it, read from files, never by importing."""

    version: TextFact = NOT_READ
    implementation: TextFact = NOT_READ
    environment: TextFact = NOT_READ
    """"venv", "conda", "system", "uv-tool", "pipx" …"""
    externally_managed: BoolFact = NOT_READ
    platform_tag: TextFact = NOT_READ
    packages: Known[tuple[Package, ...]] | Absent | Unknown = NOT_READ
    damage: Known[tuple[Damage, ...]] | Absent | Unknown = NOT_READ
    libraries: TextsFact = NOT_READ
    """Accelerator libraries that installed packages ship (`nvidia/*/lib`, `torch/lib`): "libcudart.so.12" …"""
    configuration: Known[dict[str, str]] | Absent | Unknown = NOT_READ
    """pip and uv settings that change an install: key to value with secrets removed."""
    torch: TorchBuild = TorchBuild()

    def package(self, name: str) -> TextFact:
        """Version of an installed distribution: absent when the list was read and it is not in it."""
        if not isinstance(self.packages, Known):
            return self.packages if isinstance(self.packages, Unknown) else Unknown(why="packages were not listed")
        for package in self.packages.value:
            if package.name == name:
                return Known(value=package.version, source=self.packages.source)
        return Absent(source=self.packages.source)


class Toolchain(Record):
    """Compilers and headers that JIT and source builds need."""

    gcc: TextFact = NOT_READ
    gxx: TextFact = NOT_READ
    python_headers: BoolFact = NOT_READ
    openmp: BoolFact = NOT_READ
    cmake: TextFact = NOT_READ
    ninja: TextFact = NOT_READ
    nvcc: TextFact = NOT_READ
    """Version of the nvcc that PATH or CUDA_HOME gives: a toolkit, not a driver."""
    toolkits: TextsFact = NOT_READ
    """Versions of all CUDA toolkits under `/usr/local`, whichever of them PATH gives."""
    ptxas: TextFact = NOT_READ
    triton_ptxas: TextFact = NOT_READ
    cudnn: TextFact = NOT_READ
    nccl: TextFact = NOT_READ
    libraries: Known[dict[str, str]] | Absent | Unknown = NOT_READ
    """Shared objects the loader would find: soname to version or "present"."""


class Containers(Record):
    """Container engines on this machine and what they may hand to a container."""

    docker_client: TextFact = NOT_READ
    docker_engine: TextFact = NOT_READ
    podman: TextFact = NOT_READ
    nvidia_container_toolkit: TextFact = NOT_READ
    cdi_devices: TextsFact = NOT_READ
    """Devices that the Container Device Interface offers ("nvidia.com/gpu=0", "nvidia.com/gpu=all")."""
    cdi_driver: TextFact = NOT_READ
    """Driver version whose files the CDI specification mounts: another one than the loaded driver means it is stale."""
    runtimes: TextsFact = NOT_READ
    """Runtimes that the engine knows ("nvidia", "runc")."""


class BackendPresence(Record):
    """An inference backend outside the target's packages: a binary on PATH or a server that answers."""

    name: str
    binary: TextFact = NOT_READ
    """Version of the program found; absent when none is."""
    server: TextFact = NOT_READ
    """Version the running server gave, or "running"."""
    port: IntFact = NOT_READ
    models: TextsFact = NOT_READ


class Service(Record):
    """A companion system (Redis, Qdrant, Prometheus …) looked for on loopback."""

    name: str
    version: TextFact = NOT_READ
    port: IntFact = NOT_READ


class Snapshot(Record):
    """Everything known about one machine at one moment."""

    schema_version: str = "1"
    taken_at: str = ""
    """ISO 8601, UTC; empty for a hypothetical machine."""
    origin: Literal["machine", "assumed", "imported"] = "machine"
    alias: str = "machine"
    """A file-name-safe short name made from hardware, never the host name."""
    level: int = 1
    os: Os = Os()
    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    disk: Disk = Disk()
    nvidia: Nvidia = Nvidia()
    amd: Amd = Amd()
    intel: Intel = Intel()
    apple: Apple = Apple()
    python: Python = Python()
    toolchain: Toolchain = Toolchain()
    environment: Known[dict[str, str]] | Absent | Unknown = NOT_READ
    """Environment variables that change behaviour, secrets and paths removed."""
    containers: Containers = Containers()
    backends: Known[tuple[BackendPresence, ...]] | Absent | Unknown = NOT_READ
    services: Known[tuple[Service, ...]] | Absent | Unknown = NOT_READ

    @property
    def gpus(self) -> GpusFact:
        """All GPUs, discrete before integrated; absent only when every vendor's probe looked and found none."""
        facts = (self.nvidia.gpus, self.amd.gpus, self.intel.gpus, self.apple.gpus)
        found = [fact for fact in facts if isinstance(fact, Known) and fact.value]
        if found:
            gpus = sorted((g for fact in found for g in fact.value), key=lambda g: g.kind == "integrated")
            return Known(value=tuple(gpus), source=", ".join(fact.source for fact in found))
        for fact in facts:
            if isinstance(fact, Unknown):
                return fact
        return Absent(source=", ".join(fact.source for fact in facts if isinstance(fact, Known | Absent)))

    def variable(self, name: str) -> TextFact:
        """An environment variable: absent when the environment was read and it is not set."""
        if not isinstance(self.environment, Known):
            return Unknown(why="the environment variables were not read")
        value = self.environment.value.get(name)
        source = self.environment.source
        return Absent(source=source) if value is None else Known(value=value, source=source)

    def backend(self, name: str) -> BackendPresence | None:
        """The presence of a backend, or None where nobody looked for it."""
        for presence in value_of(self.backends) or ():
            if presence.name == name:
                return presence
        return None
