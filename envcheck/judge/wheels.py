"""The join no installer makes: torch release × variant × Python × platform × C library × driver × GPU.

`judge_build` says of one build whether it runs on a machine and why; `best_torch` picks among all of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from envcheck.judge import tables, versions
from envcheck.judge.silicon import capability_of, gfx_of
from envcheck.schema.facts import Absent, Known, Record, Unknown, value_of
from envcheck.schema.plan import Rejected
from envcheck.schema.requirement import Release
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.tables import Platform, TorchRelease

Accelerator = Literal["nvidia", "amd", "intel", "apple", "cpu"]


class WheelFacts(Record):
    """What decides about a wheel; None is "not known"."""

    python: str | None = None
    """"3.12.8"."""
    platform: Platform | Literal["none"] | None = None
    """"none" for an operating system or processor that no wheel is built for."""
    glibc: str | None = None
    musl: bool | None = None
    accelerator: Accelerator | None = None
    driver: str | None = None
    cuda_driver: str | None = None
    driver_absent: bool = False
    windows_driver: bool | None = None
    """Which driver table applies: Windows and WSL use the Windows numbers."""
    capabilities: tuple[str | None, ...] = ()
    """Compute capability of each NVIDIA GPU."""
    gfx: tuple[str | None, ...] = ()
    """Target of each AMD GPU."""


class Build(Record):
    """One torch build judged for one machine."""

    release: TorchRelease
    variant: str
    runs: bool | None
    in_full: bool | None = None
    """False where the driver runs it only by minor-version compatibility."""
    serves_all: bool = True
    """False where some GPUs of the machine have no kernels in it."""
    because: tuple[str, ...] = ()
    """What speaks for it where it runs, against it where it does not, what is missing where nobody can tell."""

    @property
    def version(self) -> str:
        """With its local label: "2.14.1+cu126"."""
        return f"{self.release.version}+{self.variant}"

    @property
    def index_url(self) -> str:
        """The package index that carries the variant."""
        return f"https://download.pytorch.org/whl/{self.variant}"


class Choice(Record):
    """The build to use (or None), and what was turned down on the way to it."""

    build: Build | None
    certain: bool
    """False where facts are missing: `build` is then the best that nothing speaks against."""
    rejected: tuple[Rejected, ...] = ()


def wheel_facts(snapshot: Snapshot) -> WheelFacts:
    """The facts about a machine that decide which wheels run on it."""
    wsl = snapshot.os.wsl
    family = value_of(snapshot.os.family)
    nvidia = snapshot.nvidia
    glibc = value_of(snapshot.os.glibc) or tables.glibc_of(value_of(snapshot.os.distro) or "")
    libc = value_of(snapshot.os.libc)
    return WheelFacts(
        python=value_of(snapshot.python.version),
        platform=_platform(family, value_of(snapshot.os.arch) or _arm_by_name(snapshot)),
        glibc=glibc,
        musl=None if libc is None and glibc is None else libc == "musl",
        accelerator=accelerator(snapshot),
        driver=value_of(nvidia.user_mode_driver) or value_of(nvidia.driver),
        cuda_driver=value_of(nvidia.cuda_driver),
        driver_absent=not isinstance(nvidia.cuda_driver, Known) and isinstance(nvidia.driver, Absent),
        windows_driver=None if family is None else family == "windows" or value_of(wsl) is True,
        capabilities=tuple(value_of(capability_of(g)) for g in value_of(nvidia.gpus) or ()),
        gfx=tuple(value_of(gfx_of(g)) for g in value_of(snapshot.amd.gpus) or ()),
    )


def accelerator(snapshot: Snapshot) -> Accelerator | None:
    """The vendor whose GPU a backend would use: a discrete card before an integrated one, then NVIDIA, AMD, Intel.

    "cpu" only where somebody looked and found no GPU; None where nobody looked.
    """
    gpus = snapshot.gpus
    if not isinstance(gpus, Known):
        return None if isinstance(gpus, Unknown) else "cpu"
    order: tuple[Accelerator, ...] = ("nvidia", "amd", "intel", "apple")
    for kinds in (("discrete", "unknown"), ("integrated",)):
        for vendor in order:
            if any(g.vendor == vendor and g.kind in kinds for g in gpus.value):
                return vendor
    return "cpu"


_ARM_NAMES = (
    *("gb10", "gb200", "gb300", "gh200", "grace", "orin", "thor", "xavier", "jetson"),
    *("graviton", "neoverse", "cortex"),
)


def _arm_by_name(snapshot: Snapshot) -> str | None:
    """aarch64 where the name of the processor or of a GPU says so."""
    gpus = value_of(snapshot.gpus) or ()
    names = " ".join(filter(None, [value_of(snapshot.cpu.name), *(value_of(gpu.name) for gpu in gpus)])).lower()
    return "aarch64" if any(name in names for name in _ARM_NAMES) else None


def _platform(family: str | None, arch: str | None) -> Platform | Literal["none"] | None:
    if family is None or (arch is None and family == "macos"):
        return None
    # A machine that was looked at always states its processor. A described one ("RTX 5080, Ubuntu") leaves it out when
    # it is the ordinary one; the ARM boards and superchips are known by name before this point.
    arch = arch or "x86_64"
    machine = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}.get(arch.lower(), arch.lower())
    named: dict[tuple[str, str], Platform] = {
        ("linux", "x86_64"): "linux_x86_64",
        ("linux", "aarch64"): "linux_aarch64",
        ("windows", "x86_64"): "windows_x86_64",
        ("macos", "aarch64"): "macos_arm64",
        ("macos", "x86_64"): "macos_x86_64",
    }
    return named.get((family, machine), "none")


Reason = tuple[bool | None, str]
"""Holds, does not, or cannot be told; and the clause that says so."""


def judge_build(release: TorchRelease, variant: str, facts: WheelFacts) -> Build:
    """Whether the wheel installs and its kernels start on this machine."""
    reasons = [_python(release, facts), _system(release, variant, facts), _glibc(release, facts)]
    in_full: bool | None = None
    serves_all = True
    if cuda := tables.cuda_of(variant):
        driver, in_full = _driver(cuda, facts)
        kernels, serves_all = _kernels(release, variant, facts.capabilities, facts, in_full=in_full)
        reasons += [driver, kernels]
    elif variant.startswith("rocm"):
        kernels, serves_all = _kernels(release, variant, facts.gfx, facts, in_full=None)
        reasons.append(kernels)
    states = {state for state, _ in reasons}
    runs = False if False in states else None if None in states else True
    because = tuple(text for state, text in reasons if state is runs and text)
    return Build(release=release, variant=variant, runs=runs, in_full=in_full, serves_all=serves_all, because=because)


def _python(release: TorchRelease, facts: WheelFacts) -> Reason:
    if facts.python is None:
        return None, "the Python version is not known"
    minor = ".".join(facts.python.split(".")[:2])
    wheels = f"{release.python[0]}–{release.python[-1]}"
    return minor in release.python, f"torch {release.line} has wheels for Python {wheels}, this is {minor}"


def _system(release: TorchRelease, variant: str, facts: WheelFacts) -> Reason:
    if facts.platform is None:
        return None, "the operating system or processor is not known"
    builds: tuple[str, ...] = release.platforms
    if variant.startswith("rocm"):
        builds = ("linux_x86_64",)
    elif variant.startswith("cu"):
        away = ("linux_x86_64",) if variant in release.linux_x86_64_only else ("linux", "windows")
        builds = tuple(p for p in release.platforms if p.startswith(away))
    elif variant == "xpu":
        builds = ("linux_x86_64", "windows_x86_64")
    return facts.platform in builds, f"torch {release.line} {variant} is built for {', '.join(builds)}"


def _glibc(release: TorchRelease, facts: WheelFacts) -> Reason:
    if facts.platform is not None and not facts.platform.startswith("linux"):
        return True, ""
    if facts.musl:
        return False, "torch has no wheels for musl (Alpine)"
    if facts.glibc is None:
        return None, "the glibc version is not known"
    holds = versions.at_least(facts.glibc, release.glibc)
    return holds, f"torch {release.line} needs glibc ≥ {release.glibc}, this is {facts.glibc}"


def _driver(cuda: str, facts: WheelFacts) -> tuple[Reason, bool | None]:
    if facts.driver_absent:
        return (False, "there is no NVIDIA driver"), None
    served = tables.serving(cuda, driver=facts.driver, cuda_driver=facts.cuda_driver, windows=facts.windows_driver)
    have = facts.driver or (f"one that reports CUDA {facts.cuda_driver}" if facts.cuda_driver else "not known")
    return (served.runs, f"CUDA {cuda} needs driver ≥ {served.needs}, this is {have}"), served.in_full


def _kernels(
    release: TorchRelease,
    variant: str,
    gpus: tuple[str | None, ...],
    facts: WheelFacts,
    *,
    in_full: bool | None,
) -> tuple[Reason, bool]:
    """At least one GPU must have kernels; the flag says whether all have. PTX counts only where the driver knows it."""
    if not gpus:
        return (None, "which GPU the build would run on is not known"), True
    platform: Platform = "linux_x86_64" if facts.platform in (None, "none") else facts.platform  # type: ignore[assignment]
    row = tables.arch_list(release.version, variant, platform)
    if row is None:
        return (None, f"which GPUs torch {release.line} {variant} was compiled for is not in the table"), True
    if variant.startswith("rocm"):
        each: list[bool | None] = [None if g is None else g in row.kernels for g in gpus]
    else:
        ptx = row.ptx if in_full else ""
        each = [None if g is None else tables.kernels_serve(g, row.kernels, ptx) for g in gpus]
    holds = True if True in each else None if None in each else False
    ours = ", ".join(str(g or "unknown") for g in gpus)
    theirs = " ".join(row.kernels) + (" +PTX" if row.ptx else "")
    text = f"torch {release.line} {variant} is compiled for {theirs}, the GPU is {ours}"
    return (holds, text), False not in each


def variants_for(facts: WheelFacts, release: TorchRelease) -> tuple[str, ...]:
    """The release's variants for the machine's accelerator, newest runtime first; empty where that is not known."""
    prefix = {"nvidia": "cu", "amd": "rocm", "intel": "xpu", "apple": "cpu", "cpu": "cpu"}.get(facts.accelerator or "")
    if prefix is None:
        return ()
    found = [v for v in release.variants if v == prefix or (v.startswith(prefix) and v[len(prefix) :][:1].isdigit())]
    return tuple(sorted(found, key=lambda v: versions.key(v.removeprefix(prefix) or "0") or (), reverse=True))


def best_torch(facts: WheelFacts, specifier: str = "") -> Choice:
    """The newest torch within `specifier` that runs on every GPU, else on one; a runtime served in full goes first."""
    within = _within(facts, specifier)
    possible = [build for build in within if build.runs is not False]
    rejected = [
        Rejected(choice=f"torch {build.version}", because="; ".join(build.because))
        for build in within
        if build.runs is False
    ]
    if not possible:
        return Choice(build=None, certain=facts.accelerator is not None, rejected=tuple(rejected))
    build = min(possible, key=_preference)
    return Choice(build=build, certain=build.runs is True, rejected=tuple(rejected[:12]))


def _within(facts: WheelFacts, specifier: str) -> list[Build]:
    """The builds that a specifier allows; one with a label ("==2.7.0+cu128") asks for that variant and no other."""
    label = next((versions.local(v) for op, v in versions.clauses(specifier) or () if op == "==" and "+" in v), "")
    if not label:
        return [build for build in builds(facts) if _in(build.release, specifier)]
    listed = [release for release in tables.torch_wheels().release if label in release.variants]
    return [judge_build(release, label, facts) for release in listed if _in(release, specifier)]


def torch_for(facts: WheelFacts, release: Release) -> Choice:
    """The torch build for a backend's release: of the CUDA runtime that its wheel is built for, where torch has that.

    Torch builds of another runtime have other libraries, and a compiled wheel finds only those of its own.
    """
    if facts.accelerator != "nvidia" or not release.variant.startswith("cu"):
        return best_torch(facts, release.torch)
    own = [b for b in builds(facts) if b.variant == release.variant and _in(b.release, release.torch)]
    if not own:
        return best_torch(facts, release.torch)
    build = next((b for b in own if b.runs is not False), None)
    rejected = tuple(Rejected(choice=f"torch {b.version}", because="; ".join(b.because)) for b in own if b != build)
    return Choice(build=build, certain=build is None or build.runs is True, rejected=rejected)


@lru_cache(maxsize=8)
def builds(facts: WheelFacts) -> tuple[Build, ...]:
    """Every build for the machine's accelerator, judged, newest release first."""
    wheels = tables.torch_wheels().release
    return tuple(judge_build(release, variant, facts) for release in wheels for variant in variants_for(facts, release))


def _in(release: TorchRelease, specifier: str) -> bool:
    """Whether the line is meant; an exact pin of an older patch ("==2.14.0") still names it."""
    if versions.within(release.version, specifier) is True:
        return True
    pairs = versions.clauses(specifier) or ()
    return any(op in ("==", "~=") and v.startswith(release.line + ".") for op, v in pairs)


def _preference(build: Build) -> tuple[bool, int, bool, float]:
    """All GPUs before some, newest release, a runtime served in full, then the newest such runtime.

    Among runtimes that only minor-version compatibility carries, the oldest asks least of the driver.
    """
    cuda = float(tables.cuda_of(build.variant) or 0)
    partial = build.in_full is False
    return (not build.serves_all, _age(build), partial, cuda if partial else -cuda)


def _age(build: Build) -> int:
    return tables.torch_wheels().release.index(build.release)
