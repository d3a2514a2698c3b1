"""What a decision says about the torch build it took: version, what it computes on, where it comes from, and why."""

from __future__ import annotations

import msgspec

from envcheck.judge import rows, tables, versions
from envcheck.judge.wheels import Build, WheelFacts, judge_build
from envcheck.schema.requirement import Release
from envcheck.schema.tables import TorchRelease

BEHIND_MINORS = 2
"""A package that a constraint pushed back by more than this many releases of the table is worth a word."""


def asked(build: Build, specifier: str) -> str:
    """The version of a build: its line's newest patch, or the earlier one that an exact pin names."""
    pins = [v for op, v in versions.clauses(specifier) or () if op == "==" and "*" not in v]
    exact = next((v for v in pins if v.startswith(build.release.line + ".")), None)
    return versions.base(exact) if exact else build.release.version


def accelerator_of(build: Build, facts: WheelFacts) -> str:
    """What the build computes on: its variant, but on Apple silicon, whose one build has Metal in it, "mps"."""
    return "mps" if facts.platform == "macos_arm64" else build.variant


def kernels_of(build: Build, facts: WheelFacts) -> tuple[str, ...]:
    """Which of the architectures compiled into the build its GPUs run, as `torch.cuda.get_arch_list()` names them."""
    if facts.platform is None or facts.platform == "none":
        return ()
    row = tables.arch_list(build.release.version, build.variant, facts.platform)
    if row is None or build.variant == "cpu":
        return ()
    if build.variant.startswith("rocm"):
        return tuple(dict.fromkeys(gfx for gfx in facts.gfx if gfx in row.kernels))
    mine = [capability for capability in dict.fromkeys(facts.capabilities) if capability]
    # The nearest architecture below runs it (same major, lower minor); what only PTX serves has no machine code.
    able = ([k for k in row.kernels if tables.kernels_serve(c, (k,))] for c in mine)
    near = (max(kernels, key=lambda k: versions.key(k) or ()) for kernels in able if kernels)
    return tuple(dict.fromkeys("sm_" + kernel.replace(".", "") for kernel in near))


def elsewhere(build: Build, facts: WheelFacts, specifier: str) -> tuple[str, ...]:
    """This build and older releases of its variant that run here as well, newest first: with their labels, and without
    where the package index serves that variant (it strips the labels)."""
    version = asked(build, specifier)
    running = [msgspec.structs.replace(build.release, version=version)]
    if version == build.release.version:
        releases = tables.torch_wheels().release
        older = releases[releases.index(build.release) :]
        fitting = (
            r for r in older if build.variant in r.variants and versions.within(r.version, specifier) is not False
        )
        running = [r for r in fitting if judge_build(r, build.variant, facts).runs][:6]
    return tuple(
        name
        for release in running
        for name in (f"{release.version}+{build.variant}", release.version)
        if "+" in name or _is_served(release, build.variant, facts)
    )


def is_default(build: Build, facts: WheelFacts) -> bool:
    """Whether the package index itself serves this build for the platform."""
    return _is_served(build.release, build.variant, facts)


def _is_served(release: TorchRelease, variant: str, facts: WheelFacts) -> bool:
    if facts.platform == "linux_aarch64":
        return release.pypi_aarch64 == variant
    if facts.platform in ("windows_x86_64", "macos_arm64", "macos_x86_64"):
        return variant == "cpu"
    return release.pypi == variant


def because_of(build: Build | None, facts: WheelFacts) -> list[str]:
    """What speaks for the build, and what its owner should know."""
    if build is None:
        return []
    reasons = list(build.because)
    if build.in_full is False:
        reasons.append("the driver runs it by minor-version compatibility: machine code runs, newer PTX does not")
    if not build.serves_all:
        reasons.append("not every GPU of this machine has kernels in it")
    if accelerator_of(build, facts) == "mps":
        reasons.append("the one build for macOS computes on the GPU through Metal (mps)")
    if facts.accelerator == "cpu":
        reasons.append("no GPU was found")
    return reasons


def behind(build: Build | None, version: str | None, leads: dict[str, Release]) -> list[str]:
    """Warnings about packages that a constraint pushed far back: newest that works, never time travel unsaid."""
    found = []
    if build is not None:
        lines = [r.line for r in tables.torch_wheels().release]
        steps = lines.index(build.release.line)
        if steps > BEHIND_MINORS:
            found.append(f"torch {version} is {steps} releases behind {lines[0]}")
    for name, release in leads.items():
        listed = [
            r.version
            for b in rows.backend_names()
            for r in rows.backend(b).release
            if rows.backend(b).backend.packages[:1] == (name,)
        ]
        version = versions.base(release.version)
        steps = listed.index(version) if version in listed else 0
        if steps > BEHIND_MINORS:
            found.append(f"{name} {release.version} is {steps} listed releases behind {listed[0]}")
    return found
