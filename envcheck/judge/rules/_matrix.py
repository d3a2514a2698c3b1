"""What the tables of the matrix say about this case, asked in the way rules need it."""

from __future__ import annotations

import re
from typing import NamedTuple

from envcheck.judge import tables, versions
from envcheck.judge.rows import file_stem, load
from envcheck.judge.rule import Case
from envcheck.judge.versions import Version, version
from envcheck.schema.facts import value_of
from envcheck.schema.requirement import BackendMatrix, Release
from envcheck.schema.tables import Platform

_SM = re.compile(r"(?:sm|compute)_(\d{2,3})")
_WITH_RELEASES = ("vllm", "sglang", "transformers", "tensorrt_llm")
_UNRELEASED = re.compile(r"dev|git|\da0|\drc")


def installed(case: Case, name: str) -> str | None:
    """The installed version of a distribution as text, or None."""
    if name == "torch":
        return case.torch.label or None
    return value_of(case.snapshot.python.package(name)) or None


def unreleased(label: str) -> bool:
    """True for nightly, pre-release and self-built versions, for which no table holds."""
    return _UNRELEASED.search(label) is not None


def release_of(case: Case, backend: str) -> Release | None:
    """The row of the installed backend: its own, else the one just below; None where it is not installed or older."""
    have = installed(case, backend)
    if have is None or file_stem(backend) not in _WITH_RELEASES:
        return None
    rows = load(file_stem(backend), BackendMatrix).release
    return next((row for row in rows if versions.at_least(versions.base(have), row.version)), None)


def capability_floor(case: Case) -> Version | None:
    """The lowest compute capability on which the backend's official CUDA builds run; None where no row says."""
    if case.torch.accelerator in ("cpu", "rocm") or file_stem(case.backend) not in _WITH_RELEASES:
        return None
    rows = load(file_stem(case.backend), BackendMatrix).release
    stated = [row.min_compute_capability for row in rows if row.min_compute_capability]
    own = release_of(case, case.backend)
    if own is not None:
        return version(own.min_compute_capability)
    # Not installed, or older than every row: only the lowest floor of any release is certain.
    return min((pair for text in stated if (pair := version(text))), default=None)


def compiled_for(case: Case) -> tuple[tuple[str, ...], str]:
    """Compute capabilities ("8.6") in the torch build, and its PTX: what it printed itself, else the table's row."""
    stated = value_of(case.snapshot.python.torch.arch_list)
    if stated:
        found = {f"{number[:-1]}.{number[-1]}" for text in stated for number in _SM.findall(text)}
        return tuple(sorted(found, key=lambda text: version(text) or ())), ""
    torch = case.torch
    if torch.release is None or torch.cuda is None or unreleased(torch.label):
        return (), ""
    release = ".".join(map(str, torch.release))
    variant = f"cu{torch.cuda[0]}{torch.cuda[1] if len(torch.cuda) > 1 else 0}"
    row = tables.arch_list(release, variant, _platform(case))
    return (row.kernels, row.ptx) if row else ((), "")


def _platform(case: Case) -> Platform:
    if value_of(case.snapshot.os.family) == "windows":
        return "windows_x86_64"
    return "linux_aarch64" if value_of(case.snapshot.os.arch) == "aarch64" else "linux_x86_64"


class Targets(NamedTuple):
    """The gfx targets something carries code for."""

    what: str
    targets: frozenset[str]
    certain: bool


def gfx_targets(case: Case) -> Targets | None:
    """The narrowest list of AMD targets that is known for what was to run."""
    own = tables.gfx_list(case.backend) if case.backend in ("vllm", "sglang") else None
    if own is not None:
        # SGLang's build stops at other targets; other builds of vLLM exist than the one documented.
        return Targets(f"{case.backend}'s ROCm build", frozenset(own.gfx), certain=case.backend == "sglang")
    if case.backend == "ollama":
        row = tables.gfx_list("ollama")
        return Targets("Ollama's ROCm runner", frozenset(row.gfx), certain=False) if row else None
    if case.backend == "llama.cpp":
        # Builds differ; what they all need is rocBLAS, and Ollama ships it as AMD releases it.
        row = tables.gfx_list("ollama")
        return Targets("rocBLAS as released", frozenset(row.gfx), certain=False) if row else None
    torch = case.torch
    if torch.rocm is None or torch.release is None or unreleased(torch.label):
        return None
    return _of_torch(".".join(map(str, torch.release)), torch.label, torch.rocm)


def _of_torch(release: str, label: str, rocm: Version) -> Targets | None:
    """What torch's ROCm wheels are compiled for: the one its label names, else the one of this ROCm."""
    stated = versions.local(label)
    for variant in (stated if stated.startswith("rocm") else "", f"rocm{rocm[0]}.{rocm[1] if len(rocm) > 1 else 0}"):
        arch = tables.arch_list(release, variant) if variant else None
        if arch is not None:
            return Targets(f"torch for {variant}", frozenset(arch.kernels), certain=False)
    return None
