"""The closed vocabulary of fact paths that a row may name, and how each is read out of a snapshot.

Most paths are a field. Some join a field with a table ("torch.arches": what the installed torch was compiled for), so
that a row can compare them with the plain operators. A path that is not listed here is an error at load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from envcheck.judge import tables, versions
from envcheck.judge.operators import AnyFact, DriverStack, KernelSet, Kind, PerGpu
from envcheck.judge.wheels import Choice, accelerator, best_torch, wheel_facts
from envcheck.schema.facts import Absent, Known, Unknown, text_of, value_of
from envcheck.schema.requirement import Backend, Release
from envcheck.schema.snapshot import Gpu, Snapshot
from envcheck.schema.verdict import Intent


class Scene:
    """What a row is judged against: a machine, a wish, and one release of one backend."""

    __slots__ = ("backend", "installed", "intent", "memo", "release", "snapshot")

    def __init__(
        self, snapshot: Snapshot, intent: Intent, backend: Backend, installed: AnyFact, release: Release | None
    ) -> None:
        self.snapshot = snapshot
        self.intent = intent
        self.backend = backend
        self.installed = installed
        self.release = release
        self.memo: dict[str, AnyFact | PerGpu] = {}

    @property
    def version(self) -> str | None:
        """The version judged: the installed one, else that of the release looked at."""
        if isinstance(self.installed, Known):
            return str(self.installed.value)
        return self.release.version if self.release else None

    def fact(self, path: str) -> AnyFact | PerGpu:
        """The fact at `path`, worked out once; raises KeyError for a path outside the vocabulary."""
        if path not in self.memo:
            self.memo[path] = read(path, self)
        return self.memo[path]


Reader = Callable[[Scene], AnyFact | PerGpu]


class Path(NamedTuple):
    """One entry of the vocabulary."""

    kind: Kind
    read: Reader
    per_gpu: bool = False


def read(path: str, scene: Scene) -> AnyFact | PerGpu:
    """Look a fact up; raises KeyError for a path outside the vocabulary."""
    entry = VOCABULARY.get(path)
    if entry is not None:
        return entry.read(scene)
    family, _, name = path.partition(".")
    return FAMILIES[family][1](scene, name)


def kind_of(path: str) -> Kind | None:
    """The kind of value a path gives; None where the vocabulary has no such path."""
    if path in VOCABULARY:
        return VOCABULARY[path].kind
    family, _, name = path.partition(".")
    return FAMILIES[family][0] if name and family in FAMILIES else None


# --- GPUs ------------------------------------------------------------------------------------------------------------


def _per_gpu(field: str, vendor: str | None = None) -> Reader:
    def of(scene: Scene) -> AnyFact | PerGpu:
        fact: Any = getattr(scene.snapshot, vendor).gpus if vendor else scene.snapshot.gpus
        if not isinstance(fact, Known):
            return fact  # type: ignore[no-any-return]
        if not fact.value:
            return Absent(source=fact.source)
        return PerGpu(items=tuple((label(gpu), getattr(gpu, field)) for gpu in fact.value))

    return of


def label(gpu: Gpu) -> str:
    """How a person tells this card from the others: "GPU 0 (NVIDIA TITAN V)"."""
    name = value_of(gpu.name)
    return f"GPU {gpu.index} ({name})" if name else f"GPU {gpu.index}"


def _gpu_count(scene: Scene) -> AnyFact:
    gpus = scene.snapshot.gpus
    return Known(value=len(gpus.value), source=gpus.source) if isinstance(gpus, Known) else gpus


def _accelerator(scene: Scene) -> AnyFact:
    found = accelerator(scene.snapshot)
    gpus = scene.snapshot.gpus
    if found is None:
        return gpus if isinstance(gpus, Unknown) else Unknown(why="the GPUs were not read")
    return Known(value=found, source=gpus.source if isinstance(gpus, Known) else "the GPU probes")


def _driver_stack(scene: Scene) -> AnyFact:
    nvidia = scene.snapshot.nvidia
    driver: AnyFact = nvidia.user_mode_driver if isinstance(nvidia.user_mode_driver, Known) else nvidia.driver
    if not isinstance(driver, Known) and not isinstance(nvidia.cuda_driver, Known):
        return driver
    facts = wheel_facts(scene.snapshot)
    stack = DriverStack(driver=facts.driver, cuda=facts.cuda_driver, windows=facts.windows_driver)
    source = driver.source if isinstance(driver, Known) else "the CUDA version that the driver reports"
    return Known(value=stack, source=source)


def _driver(scene: Scene) -> AnyFact:
    """The driver's version; where only the CUDA version it reports is known, the oldest driver that reports it."""
    nvidia = scene.snapshot.nvidia
    if isinstance(nvidia.driver, Known) or not isinstance(nvidia.cuda_driver, Known):
        return nvidia.driver
    facts = wheel_facts(scene.snapshot)
    at_least = tables.driver_for(nvidia.cuda_driver.value, windows=facts.windows_driver is True)
    if at_least is None:
        return nvidia.driver
    return Known(value=at_least, source=f"oldest driver that reports CUDA {nvidia.cuda_driver.value}")


def _nvidia_state(scene: Scene) -> AnyFact:
    """The driver's state as read; a driver that reported a version to somebody was usable then."""
    nvidia = scene.snapshot.nvidia
    if isinstance(nvidia.state, Unknown) and isinstance(nvidia.cuda_driver, Known):
        return Known(value="ready", source=f"it reported CUDA {nvidia.cuda_driver.value}")
    return nvidia.state


# --- host ------------------------------------------------------------------------------------------------------------


def _glibc(scene: Scene) -> AnyFact:
    """The C library as read, else as the table knows it for the distribution; musl has none."""
    os = scene.snapshot.os
    if isinstance(os.glibc, Known):
        return os.glibc
    if value_of(os.libc) == "musl":
        return Absent(source="musl is the C library")
    listed = tables.glibc_of(os.distro.value) if isinstance(os.distro, Known) else None
    return Known(value=listed, source=f"table of distributions, {text_of(os.distro)}") if listed else os.glibc


def _environment(scene: Scene) -> AnyFact:
    return scene.snapshot.python.environment


# --- torch -----------------------------------------------------------------------------------------------------------


def _torch(scene: Scene) -> AnyFact:
    """The installed torch: what the interpreter said, else the list of packages."""
    said = scene.snapshot.python.torch.version
    return said if isinstance(said, Known) else scene.snapshot.python.package("torch")


def _torch_variant(scene: Scene) -> AnyFact:
    torch = _torch(scene)
    if not isinstance(torch, Known):
        return torch
    build = scene.snapshot.python.torch
    if isinstance(build.cuda, Known) and not versions.local(torch.value):
        return Known(value="cu" + build.cuda.value.replace(".", "")[:3], source=build.cuda.source)
    platform = wheel_facts(scene.snapshot).platform
    variant = tables.torch_variant(torch.value, platform if platform != "none" else None)
    return Known(value=variant, source=torch.source) if variant else Unknown(why="torch does not say its variant")


def _torch_cuda(scene: Scene) -> AnyFact:
    """The CUDA runtime of the installed torch; absent for CPU and ROCm builds."""
    said = scene.snapshot.python.torch.cuda
    if not isinstance(said, Unknown):
        return said
    variant = _torch_variant(scene)
    if not isinstance(variant, Known):
        return variant
    cuda = tables.cuda_of(variant.value)
    return Known(value=cuda, source=variant.source) if cuda else Absent(source=f"the build is {variant.value}")


def _torch_arches(scene: Scene) -> AnyFact:
    """GPU architectures in the installed torch: as it printed them, else as the table has them."""
    said = scene.snapshot.python.torch.arch_list
    if isinstance(said, Known):
        return Known(value=_kernel_set(said.value), source=said.source)
    torch, variant = _torch(scene), _torch_variant(scene)
    if not isinstance(torch, Known) or not isinstance(variant, Known):
        return variant if isinstance(torch, Known) else torch
    return _listed_arches(torch.value, variant.value, scene)


def _listed_arches(version: str, variant: str, scene: Scene) -> AnyFact:
    platform = wheel_facts(scene.snapshot).platform or "linux_x86_64"
    row = tables.arch_list(version, variant, platform) if platform != "none" else None
    if row is None:
        return Unknown(why=f"which GPUs torch {versions.base(version)} {variant} was compiled for is not in the table")
    return Known(value=KernelSet(kernels=row.kernels, ptx=row.ptx), source=row.source)


def _kernel_set(printed: tuple[str, ...]) -> KernelSet:
    """From `torch.cuda.get_arch_list()`: "sm_86" is machine code, "compute_120" is PTX, "gfx1100" stands for itself."""
    dotted = [(name.partition("_")[0], name.partition("_")[2].rstrip("af")) for name in printed]
    kernels = [f"{n[:-1]}.{n[-1]}" for prefix, n in dotted if prefix == "sm" and n.isdigit()]
    ptx = [f"{n[:-1]}.{n[-1]}" for prefix, n in dotted if prefix == "compute" and n.isdigit()]
    return KernelSet(kernels=(*kernels, *(p for p in printed if p.startswith("gfx"))), ptx=ptx[-1] if ptx else "")


def torch_choice(scene: Scene) -> Choice:
    """The torch build to use here, within what the release judged accepts."""
    return best_torch(wheel_facts(scene.snapshot), scene.release.torch if scene.release else "")


def _torch_best(scene: Scene) -> AnyFact:
    choice = torch_choice(scene)
    if choice.build is None and choice.certain:
        return Absent(source="; ".join(r.because for r in choice.rejected[:1]) or "the table of torch wheels")
    if choice.build is None or not choice.certain:
        return Unknown(why="; ".join(choice.build.because) if choice.build else "the GPUs were not read")
    return Known(value=choice.build.version, source=choice.build.release.source)


def _torch_best_part(part: str) -> Reader:
    """The release and the index of `torch.best`, for commands."""

    def of(scene: Scene) -> AnyFact:
        choice = torch_choice(scene)
        if choice.build is None or not choice.certain:
            return Unknown(why="no torch build could be chosen")
        value = choice.build.release.version if part == "release" else choice.build.index_url
        return Known(value=value, source=choice.build.release.source)

    return of


def _torch_best_why(scene: Scene) -> AnyFact:
    """Why the newest build was turned down, where no build fits."""
    choice = torch_choice(scene)
    if choice.build is not None or not choice.rejected:
        return Absent(source="the table of torch wheels")
    return Known(value="; ".join(r.because for r in choice.rejected[:2]), source="the table of torch wheels")


def _torch_family(member: str) -> Reader:
    """The line of torchvision or torchaudio that belongs to the installed torch, as a specifier."""

    def of(scene: Scene) -> AnyFact:
        torch = _torch(scene)
        row = tables.torch_release(torch.value) if isinstance(torch, Known) else None
        line: str = getattr(row, member, "") if row else ""
        if row is None or not line:
            return Absent(source="the table of torch wheels")
        return Known(value=f"=={'.'.join(line.split('.')[:2])}.*", source=row.source)

    return of


def _torch_best_cpu(scene: Scene) -> AnyFact:
    facts = wheel_facts(scene.snapshot)
    cpu = type(facts)(
        python=facts.python, platform=facts.platform, glibc=facts.glibc, musl=facts.musl, accelerator="cpu"
    )
    choice = best_torch(cpu, scene.release.torch if scene.release else "")
    if choice.build is None:
        return Absent(source="; ".join(r.because for r in choice.rejected[:1]) or "the table of torch wheels")
    if not choice.certain:
        return Unknown(why="; ".join(choice.build.because))
    return Known(value=choice.build.version, source=choice.build.release.source)


# --- the backend and the release judged ------------------------------------------------------------------------------


def _release(field: str) -> Reader:
    def of(scene: Scene) -> AnyFact:
        value = getattr(scene.release, field) if scene.release else ""
        source = scene.release.source if scene.release else "the matrix"
        return Known(value=value, source=source) if value else Absent(source=source)

    return of


def _keeps_torch(scene: Scene) -> bool:
    """Whether the torch that is installed is the one the backend runs on: beside it, or within the release's pin."""
    torch = _torch(scene)
    if not isinstance(torch, Known):
        return False
    if isinstance(scene.installed, Known):
        return True
    return bool(scene.release and scene.release.torch and versions.within(torch.value, scene.release.torch))


def _release_cuda(scene: Scene) -> AnyFact:
    """The CUDA runtime of the installed torch where the backend is installed, else of the release's default wheel."""
    if _keeps_torch(scene):
        return _torch_cuda(scene)
    cuda = tables.cuda_of(scene.release.variant) if scene.release else None
    return Known(value=cuda, source=scene.release.source) if scene.release and cuda else Absent(source="the matrix")


def _release_arches(scene: Scene) -> AnyFact:
    """GPU architectures in the torch that the release pins, in the variant of its default wheel."""
    release = scene.release
    if _keeps_torch(scene):
        return _torch_arches(scene)
    pins = versions.clauses(release.torch) if release and release.variant else None
    if release is None or not pins or pins[0][0] != "==":
        return Absent(source="the release pins no torch build")
    return _listed_arches(pins[0][1], release.variant, scene)


def _version(scene: Scene) -> AnyFact:
    return scene.installed


def _intent(field: str) -> Reader:
    def of(scene: Scene) -> AnyFact:
        value = getattr(scene.intent, field)
        return Known(value=value, source="what was asked for") if value else Absent(source="what was asked for")

    return of


def _quantization_floor(scene: Scene) -> AnyFact:
    method = scene.intent.quantization
    row = tables.kernel_row(scene.backend.name, "quantization", method, scene.version) if method else None
    return Known(value=row.min_compute_capability, source=row.source) if row else Absent(source="quantization.toml")


def _dtype_floor(method: str) -> Reader:
    def of(scene: Scene) -> AnyFact:
        row = tables.kernel_row(scene.backend.name, "dtype", method, scene.version)
        return Known(value=row.min_compute_capability, source=row.source) if row else Absent(source="quantization.toml")

    return of


def _gfx_of(consumer: str) -> Reader:
    def of(scene: Scene) -> AnyFact:
        os = "windows" if value_of(scene.snapshot.os.family) == "windows" else "linux"
        row = tables.gfx_list(consumer, os)
        return Known(value=KernelSet(kernels=row.gfx), source=row.source) if row else Absent(source="rocm.toml")

    return of


# --- open families: packages.NAME, variables.NAME … ------------------------------------------------------------------


def _library(scene: Scene, name: str) -> AnyFact:
    libraries = scene.snapshot.toolchain.libraries
    if not isinstance(libraries, Known):
        return libraries
    found = libraries.value.get(name)
    return Known(value=found, source=libraries.source) if found else Absent(source=libraries.source)


def _program(scene: Scene, name: str) -> AnyFact:
    """A backend's program or server: whichever answered with a version first."""
    backends = scene.snapshot.backends
    if not isinstance(backends, Known):
        return backends
    presence = scene.snapshot.backend(name) or scene.snapshot.backend(name.replace(".", "_"))
    if presence is None:
        return Unknown(why=f"nobody looked for {name}")
    return presence.server if isinstance(presence.server, Known) else presence.binary


def _release_package(scene: Scene, name: str) -> AnyFact:
    spec = scene.release.packages.get(name) if scene.release else None
    return Known(value=spec, source=scene.release.source) if scene.release and spec else Absent(source="the matrix")


def _field(section: str, name: str) -> Reader:
    def of(scene: Scene) -> AnyFact:
        fact: AnyFact = getattr(getattr(scene.snapshot, section), name)
        return fact

    return of


FAMILIES: dict[str, tuple[Kind, Callable[[Scene, str], AnyFact]]] = {
    "packages": ("version", lambda scene, name: scene.snapshot.python.package(name)),
    "variables": ("text", lambda scene, name: scene.snapshot.variable(name)),
    "programs": ("version", _program),
    "libraries": ("text", _library),
    "pins": ("version", _release_package),
}

VOCABULARY: dict[str, Path] = {
    "accelerator": Path("text", _accelerator),
    "os.family": Path("text", _field("os", "family")),
    "os.distro": Path("text", _field("os", "distro")),
    "os.arch": Path("text", _field("os", "arch")),
    "os.libc": Path("text", _field("os", "libc")),
    "os.glibc": Path("version", _glibc),
    "os.wsl": Path("flag", _field("os", "wsl")),
    "os.container": Path("text", _field("os", "container")),
    "cpu.flags": Path("texts", _field("cpu", "flags")),
    "cpu.cores": Path("number", _field("cpu", "cores")),
    "memory.ram_total_mib": Path("number", _field("memory", "ram_total_mib")),
    "memory.ram_available_mib": Path("number", _field("memory", "ram_available_mib")),
    "memory.shm_total_mib": Path("number", _field("memory", "shm_total_mib")),
    "disk.target_free_mib": Path("number", lambda scene: scene.snapshot.disk.free_mib("target")),
    "disk.models_free_mib": Path("number", lambda scene: scene.snapshot.disk.free_mib("models")),
    "gpu.count": Path("number", _gpu_count),
    "gpu.memory_total_mib": Path("number", _per_gpu("memory_total_mib"), per_gpu=True),
    "gpu.memory_free_mib": Path("number", _per_gpu("memory_free_mib"), per_gpu=True),
    "gpu.compute_capability": Path("version", _per_gpu("compute_capability", "nvidia"), per_gpu=True),
    "gpu.gfx": Path("text", _per_gpu("gfx", "amd"), per_gpu=True),
    "gpu.ecc_uncorrected": Path("number", _per_gpu("ecc_uncorrected", "nvidia"), per_gpu=True),
    "nvidia.driver": Path("version", _driver),
    "nvidia.cuda_driver": Path("version", _field("nvidia", "cuda_driver")),
    "nvidia.state": Path("text", _nvidia_state),
    "nvidia.stack": Path("driver", _driver_stack),
    "amd.driver": Path("version", _field("amd", "driver")),
    "amd.rocm": Path("version", _field("amd", "rocm")),
    "amd.state": Path("text", _field("amd", "state")),
    "intel.level_zero": Path("version", _field("intel", "level_zero")),
    "python.version": Path("version", _field("python", "version")),
    "python.implementation": Path("text", _field("python", "implementation")),
    "python.environment": Path("text", _environment),
    "toolchain.gcc": Path("version", _field("toolchain", "gcc")),
    "toolchain.cmake": Path("version", _field("toolchain", "cmake")),
    "toolchain.nvcc": Path("version", _field("toolchain", "nvcc")),
    "toolchain.python_headers": Path("flag", _field("toolchain", "python_headers")),
    "containers.docker_engine": Path("version", _field("containers", "docker_engine")),
    "containers.docker_client": Path("version", _field("containers", "docker_client")),
    "containers.nvidia_container_toolkit": Path("version", _field("containers", "nvidia_container_toolkit")),
    "torch.version": Path("version", _torch),
    "torch.variant": Path("text", _torch_variant),
    "torch.cuda": Path("version", _torch_cuda),
    "torch.arches": Path("kernels", _torch_arches),
    "torch.best": Path("version", _torch_best),
    "torch.best_cpu": Path("version", _torch_best_cpu),
    "torch.best_release": Path("version", _torch_best_part("release")),
    "torch.best_index": Path("text", _torch_best_part("index")),
    "torch.best_why": Path("text", _torch_best_why),
    "torch.torchvision": Path("version", _torch_family("torchvision")),
    "torch.torchaudio": Path("version", _torch_family("torchaudio")),
    "torch.cuda_available": Path("flag", lambda scene: scene.snapshot.python.torch.cuda_available),
    "backend.version": Path("version", _version),
    "release.version": Path("version", _release("version")),
    "release.python": Path("version", _release("python")),
    "release.torch": Path("version", _release("torch")),
    "release.variant": Path("text", _release("variant")),
    "release.glibc": Path("version", _release("glibc")),
    "release.min_compute_capability": Path("version", _release("min_compute_capability")),
    "release.cuda": Path("version", _release_cuda),
    "release.arches": Path("kernels", _release_arches),
    "rocm.ollama": Path("kernels", _gfx_of("ollama")),
    "rocm.vllm": Path("kernels", _gfx_of("vllm")),
    "intent.quantization": Path("text", _intent("quantization")),
    "intent.model": Path("text", _intent("model")),
    "kernels.quantization_floor": Path("version", _quantization_floor),
    "kernels.bfloat16_floor": Path("version", _dtype_floor("bfloat16")),
}
