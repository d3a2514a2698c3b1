"""The closed vocabulary of fact paths that a row may name, and how each is read out of a snapshot.

Most paths are a field. Some join a field with a table ("torch.arches": what the installed torch was compiled for), so
that a row can compare them with the plain operators. A path that is not listed here is an error at load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from envcheck.judge import tables
from envcheck.judge.driver_install import how
from envcheck.judge.host_facts import damaged, environment, glibc, libc, macos, sound_pins
from envcheck.judge.joined_facts import (
    backend_version,
    dtype_floor,
    gfx_targets,
    installed_torch,
    intent_field,
    quantization_ceiling,
    quantization_floor,
    release_arches,
    release_cuda,
    release_field,
    torch_arches,
    torch_best,
    torch_best_cpu,
    torch_best_part,
    torch_best_why,
    torch_cuda,
    torch_family,
    torch_variant,
)
from envcheck.judge.operators import AnyFact, DriverStack, Kind, PerGpu
from envcheck.judge.scene import Scene
from envcheck.judge.silicon import capability_of, gfx_of
from envcheck.judge.wheels import accelerator, wheel_facts
from envcheck.schema.facts import Absent, Known, Unknown, value_of
from envcheck.schema.snapshot import Gpu

Reader = Callable[[Scene], AnyFact | PerGpu]


class Path(NamedTuple):
    """One entry of the vocabulary."""

    kind: Kind
    read: Reader
    per_gpu: bool = False


def fact_of(path: str, scene: Scene) -> AnyFact | PerGpu:
    """The fact at `path`, worked out once per scene; raises KeyError for a path outside the vocabulary."""
    if path not in scene.memo:
        entry = VOCABULARY.get(path)
        family, _, name = path.partition(".")
        scene.memo[path] = entry.read(scene) if entry is not None else FAMILIES[family][1](scene, name)
    return scene.memo[path]


def kind_of(path: str) -> Kind | None:
    """The kind of value a path gives; None where the vocabulary has no such path."""
    if path in VOCABULARY:
        return VOCABULARY[path].kind
    family, _, name = path.partition(".")
    return FAMILIES[family][0] if name and family in FAMILIES else None


# --- GPUs ------------------------------------------------------------------------------------------------------------


def _per_gpu(field: Callable[[Gpu], AnyFact], vendor: str | None = None) -> Reader:
    def of(scene: Scene) -> AnyFact | PerGpu:
        fact: Any = getattr(scene.snapshot, vendor).gpus if vendor else scene.snapshot.gpus
        if not isinstance(fact, Known):
            return fact  # type: ignore[no-any-return]
        if not fact.value:
            return Absent(source=fact.source)
        return PerGpu(items=tuple((label(gpu), field(gpu)) for gpu in fact.value))

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


def _driver_install(scene: Scene) -> AnyFact:
    """How a driver is installed on this system, as the end of a sentence."""
    return Known(value=how(scene.snapshot), source="driver_installs.toml")


def _nvidia_state(scene: Scene) -> AnyFact:
    """The driver's state as read; a driver that reported a version to somebody was usable then."""
    nvidia = scene.snapshot.nvidia
    if isinstance(nvidia.state, Unknown) and isinstance(nvidia.cuda_driver, Known):
        return Known(value="ready", source=f"it reported CUDA {nvidia.cuda_driver.value}")
    return nvidia.state


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
    "os.macos": Path("version", macos),
    "os.arch": Path("text", _field("os", "arch")),
    "os.libc": Path("text", libc),
    "os.glibc": Path("version", glibc),
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
    "gpu.memory_total_mib": Path("number", _per_gpu(lambda gpu: gpu.memory_total_mib), per_gpu=True),
    "gpu.memory_free_mib": Path("number", _per_gpu(lambda gpu: gpu.memory_free_mib), per_gpu=True),
    "gpu.compute_capability": Path("version", _per_gpu(capability_of, "nvidia"), per_gpu=True),
    "gpu.gfx": Path("text", _per_gpu(gfx_of, "amd"), per_gpu=True),
    "gpu.ecc_uncorrected": Path("number", _per_gpu(lambda gpu: gpu.ecc_uncorrected, "nvidia"), per_gpu=True),
    "nvidia.driver": Path("version", _driver),
    "install.driver": Path("text", _driver_install),
    "nvidia.cuda_driver": Path("version", _field("nvidia", "cuda_driver")),
    "nvidia.state": Path("text", _nvidia_state),
    "nvidia.stack": Path("driver", _driver_stack),
    "amd.driver": Path("version", _field("amd", "driver")),
    "amd.rocm": Path("version", _field("amd", "rocm")),
    "amd.state": Path("text", _field("amd", "state")),
    "intel.level_zero": Path("version", _field("intel", "level_zero")),
    "python.version": Path("version", _field("python", "version")),
    "python.implementation": Path("text", _field("python", "implementation")),
    "python.environment": Path("text", environment),
    "toolchain.gcc": Path("version", _field("toolchain", "gcc")),
    "toolchain.cmake": Path("version", _field("toolchain", "cmake")),
    "toolchain.nvcc": Path("version", _field("toolchain", "nvcc")),
    "toolchain.python_headers": Path("flag", _field("toolchain", "python_headers")),
    "containers.docker_engine": Path("version", _field("containers", "docker_engine")),
    "containers.docker_client": Path("version", _field("containers", "docker_client")),
    "containers.nvidia_container_toolkit": Path("version", _field("containers", "nvidia_container_toolkit")),
    "python.duplicates": Path("text", damaged("duplicate")),
    "python.duplicates_pins": Path("text", sound_pins("duplicate")),
    "python.duplicates_names": Path("text", sound_pins("duplicate", versions=False)),
    "python.lost_files": Path("text", damaged("missing")),
    "python.lost_files_pins": Path("text", sound_pins("missing")),
    "python.cut_files": Path("text", damaged("truncated")),
    "python.cut_files_pins": Path("text", sound_pins("truncated")),
    "python.broken_metadata": Path("text", damaged("broken_metadata")),
    "python.broken_metadata_pins": Path("text", sound_pins("broken_metadata")),
    "torch.version": Path("version", installed_torch),
    "torch.variant": Path("text", torch_variant),
    "torch.cuda": Path("version", torch_cuda),
    "torch.arches": Path("kernels", torch_arches),
    "torch.best": Path("version", torch_best),
    "torch.best_cpu": Path("version", torch_best_cpu),
    "torch.best_release": Path("version", torch_best_part("release")),
    "torch.best_index": Path("text", torch_best_part("index")),
    "torch.best_why": Path("text", torch_best_why),
    "torch.torchvision": Path("version", torch_family("torchvision")),
    "torch.torchaudio": Path("version", torch_family("torchaudio")),
    "torch.cuda_available": Path("flag", lambda scene: scene.snapshot.python.torch.cuda_available),
    "backend.version": Path("version", backend_version),
    "release.version": Path("version", release_field("version")),
    "release.python": Path("version", release_field("python")),
    "release.torch": Path("version", release_field("torch")),
    "release.variant": Path("text", release_field("variant")),
    "release.glibc": Path("version", release_field("glibc")),
    "release.min_compute_capability": Path("version", release_field("min_compute_capability")),
    "release.cuda": Path("version", release_cuda),
    "release.arches": Path("kernels", release_arches),
    "rocm.ollama": Path("kernels", gfx_targets("ollama")),
    "rocm.vllm": Path("kernels", gfx_targets("vllm")),
    "intent.quantization": Path("text", intent_field("quantization")),
    "intent.model": Path("text", intent_field("model")),
    "kernels.quantization_floor": Path("version", quantization_floor),
    "kernels.quantization_ceiling": Path("version", quantization_ceiling),
    "kernels.bfloat16_floor": Path("version", dtype_floor("bfloat16")),
}
