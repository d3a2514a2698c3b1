"""Facts that join a reading with a table: torch's build and kernels, what a release needs, what a target list holds.

They let a row compare such things with the plain operators; `facts_of.VOCABULARY` names them.
"""

from __future__ import annotations

from collections.abc import Callable

from envcheck.judge import tables, versions
from envcheck.judge.operators import AnyFact, KernelSet
from envcheck.judge.scene import Scene
from envcheck.judge.wheels import Choice, best_torch, torch_for, wheel_facts
from envcheck.schema.facts import Absent, Known, Unknown, value_of
from envcheck.schema.tables import KernelRow

Reader = Callable[[Scene], AnyFact]

# --- torch -----------------------------------------------------------------------------------------------------------


def installed_torch(scene: Scene) -> AnyFact:
    """The installed torch: what the interpreter said, else the list of packages."""
    said = scene.snapshot.python.torch.version
    return said if isinstance(said, Known) else scene.snapshot.python.package("torch")


def torch_variant(scene: Scene) -> AnyFact:
    torch = installed_torch(scene)
    if not isinstance(torch, Known):
        return torch
    build = scene.snapshot.python.torch
    if isinstance(build.cuda, Known) and not versions.local(torch.value):
        return Known(value="cu" + build.cuda.value.replace(".", "")[:3], source=build.cuda.source)
    platform = wheel_facts(scene.snapshot).platform
    variant = tables.torch_variant(torch.value, platform if platform != "none" else None)
    return Known(value=variant, source=torch.source) if variant else Unknown(why="torch does not say its variant")


def torch_cuda(scene: Scene) -> AnyFact:
    """The CUDA runtime of the installed torch; absent for CPU and ROCm builds."""
    said = scene.snapshot.python.torch.cuda
    if not isinstance(said, Unknown):
        return said
    variant = torch_variant(scene)
    if not isinstance(variant, Known):
        return variant
    cuda = tables.cuda_of(variant.value)
    return Known(value=cuda, source=variant.source) if cuda else Absent(source=f"the build is {variant.value}")


def torch_arches(scene: Scene) -> AnyFact:
    """GPU architectures in the installed torch: as it printed them, else as the table has them."""
    said = scene.snapshot.python.torch.arch_list
    if isinstance(said, Known):
        return Known(value=_kernel_set(said.value), source=said.source)
    torch, variant = installed_torch(scene), torch_variant(scene)
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
    facts = wheel_facts(scene.snapshot)
    return torch_for(facts, scene.release) if scene.release else best_torch(facts)


def torch_best(scene: Scene) -> AnyFact:
    choice = torch_choice(scene)
    if choice.build is None and choice.certain:
        return Absent(source="; ".join(r.because for r in choice.rejected[:1]) or "the table of torch wheels")
    if choice.build is None or not choice.certain:
        return Unknown(why="; ".join(choice.build.because) if choice.build else "the GPUs were not read")
    return Known(value=choice.build.version, source=choice.build.release.source)


def torch_best_part(part: str) -> Reader:
    """The release and the index of `torch.best`, for commands."""

    def of(scene: Scene) -> AnyFact:
        choice = torch_choice(scene)
        if choice.build is None or not choice.certain:
            return Unknown(why="no torch build could be chosen")
        value = choice.build.release.version if part == "release" else choice.build.index_url
        return Known(value=value, source=choice.build.release.source)

    return of


def torch_best_why(scene: Scene) -> AnyFact:
    """Why the newest build was turned down, where no build fits."""
    choice = torch_choice(scene)
    if choice.build is not None or not choice.rejected:
        return Absent(source="the table of torch wheels")
    reasons = dict.fromkeys(rejected.because for rejected in choice.rejected)
    return Known(value="; ".join(list(reasons)[:2]), source="the table of torch wheels")


def torch_family(member: str) -> Reader:
    """The line of torchvision or torchaudio that belongs to the installed torch, as a specifier."""

    def of(scene: Scene) -> AnyFact:
        torch = installed_torch(scene)
        row = tables.torch_release(torch.value) if isinstance(torch, Known) else None
        line: str = getattr(row, member, "") if row else ""
        if row is None or not line:
            return Absent(source="the table of torch wheels")
        return Known(value=f"=={'.'.join(line.split('.')[:2])}.*", source=row.source)

    return of


def torch_best_cpu(scene: Scene) -> AnyFact:
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


def release_field(field: str) -> Reader:
    def of(scene: Scene) -> AnyFact:
        value = getattr(scene.release, field) if scene.release else ""
        source = scene.release.source if scene.release else "the matrix"
        return Known(value=value, source=source) if value else Absent(source=source)

    return of


def _keeps_torch(scene: Scene) -> bool:
    """Whether the torch that is installed is the one the backend runs on: beside it, or within the release's pin."""
    torch = installed_torch(scene)
    if not isinstance(torch, Known):
        return False
    if isinstance(scene.installed, Known):
        return True
    if scene.release and scene.release.index:
        return False  # a wheel from an index of its own brings the torch of its own runtime
    return bool(scene.release and scene.release.torch and versions.within(torch.value, scene.release.torch))


def release_cuda(scene: Scene) -> AnyFact:
    """The CUDA runtime of the installed torch where the backend is installed, else of the release's default wheel."""
    if _keeps_torch(scene):
        return torch_cuda(scene)
    cuda = tables.cuda_of(scene.release.variant) if scene.release else None
    return Known(value=cuda, source=scene.release.source) if scene.release and cuda else Absent(source="the matrix")


def release_arches(scene: Scene) -> AnyFact:
    """GPU architectures in the torch that the release pins, in the variant of its default wheel."""
    release = scene.release
    if _keeps_torch(scene):
        return torch_arches(scene)
    pins = versions.clauses(release.torch) if release and release.variant else None
    if release is None or not pins or pins[0][0] != "==":
        return Absent(source="the release pins no torch build")
    return _listed_arches(pins[0][1], release.variant, scene)


def backend_version(scene: Scene) -> AnyFact:
    return scene.installed


def intent_field(field: str) -> Reader:
    def of(scene: Scene) -> AnyFact:
        value = getattr(scene.intent, field)
        return Known(value=value, source="what was asked for") if value else Absent(source="what was asked for")

    return of


def _quantization(scene: Scene, method: str) -> KernelRow | None:
    return tables.kernel_row(scene.backend.name, "quantization", method, scene.version, newest=True)


def quantization_floor(scene: Scene) -> AnyFact:
    method = scene.intent.quantization
    row = _quantization(scene, method) if method else None
    return Known(value=row.min_compute_capability, source=row.source) if row else Absent(source="quantization.toml")


def quantization_ceiling(scene: Scene) -> AnyFact:
    """The first compute capability for which the backend has no kernels of the method wanted any more."""
    method = scene.intent.quantization
    row = _quantization(scene, method) if method else None
    return Known(value=row.below, source=row.source) if row and row.below else Absent(source="quantization.toml")


def dtype_floor(method: str) -> Reader:
    def of(scene: Scene) -> AnyFact:
        row = tables.kernel_row(scene.backend.name, "dtype", method, scene.version)
        return Known(value=row.min_compute_capability, source=row.source) if row else Absent(source="quantization.toml")

    return of


def gfx_targets(consumer: str) -> Reader:
    def of(scene: Scene) -> AnyFact:
        os = "windows" if value_of(scene.snapshot.os.family) == "windows" else "linux"
        row = tables.gfx_list(consumer, os)
        return Known(value=KernelSet(kernels=row.gfx), source=row.source) if row else Absent(source="rocm.toml")

    return of
