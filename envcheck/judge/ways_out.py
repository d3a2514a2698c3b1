"""What gets somebody out of an unmet requirement: every way that is known, in the order of what it changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from envcheck.judge import tables, versions
from envcheck.judge.scene import Scene
from envcheck.judge.wheels import accelerator
from envcheck.schema.facts import Known, Observation, value_of
from envcheck.schema.requirement import Backend, Release
from envcheck.schema.verdict import SCOPES, Remedy, Scope, Verdict

_UNRANKED = len(SCOPES)
PREFERRED_PYTHONS = ("3.12", "3.11", "3.13", "3.10", "3.14", "3.9")
"""For a new environment whose release does not take this machine's: the versions that most releases have wheels for."""
_SIGNS: tuple[tuple[Scope, re.Pattern[str]], ...] = (
    ("driver", re.compile(r"\b(?:NVIDIA|ROCm \d*|amdgpu) driver\b|\bdriver (?:to|of|≥)", re.IGNORECASE)),
    ("system", re.compile(r"\bsudo\b|\bapt(?:-get)?\b|\bsystemctl\b|\bdocker\b|\bcmake\b|\breboot\b", re.IGNORECASE)),
    ("new_environment", re.compile(r"\buv venv\b|-m venv\b|\bconda create\b")),
    ("this_environment", re.compile(r"\b(?:uv )?pip3? (?:un)?install\b|\bconda install\b")),
    ("setting", re.compile(r"^(?:export |[A-Z_]+=|unset |--)|\bserve MODEL\b|\blaunch_server\b|\bllama-server\b")),
)


def scope_of(remedy: Remedy) -> Scope | None:
    """What a remedy changes: as it says itself, else as its commands show; None where neither tells."""
    if remedy.scope is not None:
        return remedy.scope
    if not remedy.commands:
        return "driver" if remedy.needs_root and _SIGNS[0][1].search(remedy.says) else None
    found = [scope for scope, sign in _SIGNS if any(sign.search(command) for command in remedy.commands)]
    if remedy.needs_root and not found:
        return "system"
    if "new_environment" in found:  # what is installed goes into it
        found = [scope for scope in found if scope != "this_environment"]
    return max(found, key=SCOPES.index, default=None)


def ranked(remedies: Iterable[Remedy]) -> tuple[Remedy, ...]:
    """Each remedy once, what changes least first; else the given order stays.

    Advice without a scope comes last: nobody can say what it would change.
    """
    scoped = [
        r if r.scope == (scope := scope_of(r)) else msgspec.structs.replace(r, scope=scope)
        for r in dict.fromkeys(remedies)
    ]
    return tuple(sorted(scoped, key=_rank))


def _rank(remedy: Remedy) -> tuple[int, bool]:
    """By scope; of two that change the same, what can be typed before what only says so."""
    return (_UNRANKED if remedy.scope is None else SCOPES.index(remedy.scope)), not remedy.commands


def with_ways_out(verdict: Verdict, more: Iterable[Remedy] = ()) -> Verdict:
    """The verdict with its own ways out and `more`, ranked; its remedy is the first of them."""
    own = verdict.ways_out or ((verdict.remedy,) if verdict.remedy else ())
    ways = ranked([*own, *more])
    return msgspec.structs.replace(verdict, remedy=ways[0] if ways else None, ways_out=ways)


# --- another release --------------------------------------------------------------------------------------------------


def release_verdict(scene: Scene, newest: Release) -> Verdict:
    """The verdict that names the way out: another release runs here, maybe as a wheel with a label of its own."""
    backend = scene.backend
    package, title = backend.packages[0], backend.title
    judged = scene.version or "the newest"
    have = f"{title} {judged} is installed" if isinstance(scene.installed, Known) else f"{title} {judged} is the newest"
    ways = ranked([_by_hand(scene, newest), *_by_envcheck(scene, newest)])
    return Verdict(
        id=f"{backend.name}.backend.release",
        backend=backend.name,
        title="Release that runs here",
        status="warning",
        severity="warning",
        link="backend",
        says=f"{have} and does not run here; {newest.version} is the newest that does.",
        expected=judged,
        actual=newest.version,
        evidence=(Observation(source=newest.source, value=f"{package} {newest.version} needs torch {newest.torch}"),),
        source=newest.source,
        checked=newest.checked,
        remedy=ways[0],
        ways_out=ways,
    )


def _by_hand(scene: Scene, release: Release) -> Remedy:
    """An environment made with uv, and this one release in it, from the index that carries it."""
    backend = scene.backend
    package = backend.packages[0]
    folder = f".envs/{package}"
    words = [f'uv pip install --python {folder} "{package}=={release.version}"']
    if release.index:
        words.append(f"--extra-index-url {release.index} --torch-backend={release.variant}")
    elif release.torch.startswith("==") and tables.torch_variant(release.torch[2:]) not in (None, release.variant):
        words.append(f"--torch-backend={release.variant}")  # the package index has the pinned torch for another CUDA
    words += [option for command in backend.install[:1] if (option := command.partition(f" {package} ")[2])]
    return Remedy(
        says=f"Install {backend.title} {release.version} in an environment of its own.",
        commands=(f"uv venv --python {_python_for(scene, release)} {folder}", " ".join(words)),
        scope="new_environment",
    )


def _by_envcheck(scene: Scene, newest: Release) -> list[Remedy]:
    """The same by `envcheck install`, which plans no wheel that is built for another vendor's GPU."""
    if is_for_another_gpu(newest, accelerator(scene.snapshot)):
        return []
    package = scene.backend.packages[0]
    return [
        Remedy(
            says=f"Let envcheck install {scene.backend.title} with hashes, verified, so that it can be undone.",
            commands=(f'envcheck install {package} --target .envs/{package} --pin "{package}=={newest.version}"',),
            scope="new_environment",
        )
    ]


def is_for_another_gpu(release: Release, vendor: str | None) -> bool:
    """Whether a wheel is built for CUDA and the GPU is none of NVIDIA's."""
    return release.variant.startswith("cu") and vendor in ("amd", "intel", "apple")


def _python_for(scene: Scene, release: Release) -> str:
    """This machine's Python where the release takes it, else the usual one that it does."""
    have = value_of(scene.snapshot.python.version)
    minor = ".".join(have.split(".")[:2]) if have else None
    wanted = [minor, *PREFERRED_PYTHONS] if minor else list(PREFERRED_PYTHONS)
    return next((p for p in wanted if not release.python or versions.within(f"{p}.9", release.python)), "3.12")


def choices(backend: Backend, releases: Sequence[Release], on_cpu: bool) -> list[Release]:
    """Every wheel of the releases, newest first: the default one before those with a label.

    On a machine without a GPU (`on_cpu`) the default wheels of a backend with wheels for that are no choice: they are
    built for a GPU.
    """
    if on_cpu and backend.cpu_index:
        since = backend.cpu_since or "0"
        return [_for_cpu(backend, release) for release in releases if versions.at_least(release.version, since)]
    found: list[Release] = []
    for release in releases:
        found.append(release)
        found += [with_label(release, build.variant) or release for build in release.builds]
    return found


def _for_cpu(backend: Backend, release: Release) -> Release:
    return msgspec.structs.replace(
        release,
        version=f"{release.version}+cpu",
        variant="cpu",
        index=backend.cpu_index.format(version=release.version),
        source=backend.cpu_source,
        checked=backend.cpu_checked,
        builds=(),
    )


def with_label(release: Release, label: str) -> Release | None:
    """The wheel of a release that bears this local label; None where it has none beside its default wheel."""
    for build in release.builds:
        if build.variant == label:
            return msgspec.structs.replace(
                release,
                version=f"{release.version}+{label}",
                variant=label,
                index=build.index,
                source=build.source,
                checked=build.checked,
                builds=(),
            )
    return None
