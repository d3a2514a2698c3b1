"""Which release of each leading package ("vllm") to install: the newest that runs here, and what speaks against newer.

It asks the same rows as `envcheck check`, so that what is called the way out there is what is planned here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import msgspec

from envcheck.judge import rows, tables, versions
from envcheck.judge.evaluate import against, judge_machine, release_of
from envcheck.judge.policy import Policy, newest_that_keeps_pins
from envcheck.judge.row_verdicts import judge_rows
from envcheck.judge.scene import Scene
from envcheck.judge.ways_out import PREFERRED_PYTHONS, choices, is_for_another_gpu
from envcheck.judge.wheels import WheelFacts, torch_for, wheel_facts
from envcheck.schema.facts import Absent, Known, Record, Unknown
from envcheck.schema.plan import Blocked, Rejected
from envcheck.schema.recipe import Profile
from envcheck.schema.requirement import BackendMatrix, Release
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Intent, Remedy, Verdict

_SHOWN = 4
"""Newer releases whose reason is told."""


class Question(Record):
    """What releases are held against."""

    snapshot: Snapshot
    facts: WheelFacts
    pinned: dict[str, str]
    """Specifier by package."""
    project: Policy
    own_indexes: bool = True
    """Also look at wheels that lie in an index of their own ("0.31.0+cu129")."""


class Found(Record):
    """The releases of leading packages to install, what was turned down, and why none can be installed."""

    releases: dict[str, Release] = msgspec.field(default_factory=dict)
    """By package."""
    rejected: tuple[Rejected, ...] = ()
    blocked: tuple[Blocked, ...] = ()


class _Said(Record):
    """Why a release is not taken, and the way out of it."""

    says: str
    remedy: Remedy | None = None


class _Running(Record):
    """The releases of one package that run here, newest first, and why the newer ones do not."""

    releases: tuple[Release, ...]
    newer: tuple[Rejected, ...]
    remedy: Remedy | None = None
    """The way out of what speaks against the nearest release, where none runs."""


def leading(profiles: Sequence[Profile], question: Question) -> Found:
    """The newest releases of the leading packages that run here, keep to the project's pins and bans, and agree on
    torch with each other."""
    leads = [profile for profile in profiles if profile.leads]
    found = [_running(profile, question) for profile in leads]
    rejected = [reason for each in found for reason in each.newer]
    blocked = [_no_release(p, each, question) for p, each in zip(leads, found, strict=True) if not each.releases]
    if blocked or not leads:
        return Found(rejected=tuple(rejected), blocked=tuple(blocked))
    # Fewest steps back in all: with one leading package this is its newest release that runs.
    ranked = [list(enumerate(each.releases)) for each in found]
    picks = [pick for pick in product(*ranked) if _agree([release for _, release in pick])]
    if not picks:
        names = " and ".join(profile.title for profile in leads)
        says = f"no version works: {names} pin different torch releases in every version that runs here"
        apart = Blocked(says=says, remedy=Remedy(says="Give each an environment of its own (--target)."))
        return Found(rejected=tuple(rejected), blocked=(apart,))
    chosen = [release for _, release in min(picks, key=lambda pick: sum(rank for rank, _ in pick))]
    for profile, each, release in zip(leads, found, chosen, strict=True):
        passed = each.releases[: each.releases.index(release)][:_SHOWN]
        because = "its torch is not the one that the other packages need"
        rejected += [Rejected(choice=f"{profile.leads} {r.version}", because=because) for r in passed]
    return Found(releases={p.leads: r for p, r in zip(leads, chosen, strict=True)}, rejected=tuple(rejected))


def _running(profile: Profile, question: Question) -> _Running:
    matrix = rows.backend(profile.backend)
    left = _wished(profile, matrix, question)
    if not left:
        wished = f"{profile.leads}{question.pinned.get(profile.leads, '')}"
        return _Running(releases=(), newer=(Rejected(choice=wished, because="the matrix lists no such release"),))
    machine = judge_machine(question.snapshot, Intent())
    speaks = {r.version: _against(profile, matrix, r, question, machine) for r in left}
    found = tuple(r for r in left if speaks[r.version] is None)
    if found:
        newer = left[: left.index(found[0])][:_SHOWN]
    else:  # the release that keeps the pins comes nearest, and what is wrong with it is what is to be known
        closest = newest_that_keeps_pins(question.project, matrix.backend, left)
        newer = [*((closest,) if closest else ()), *(r for r in left[:3] if r != closest)]
    said = [(release, speaks[release.version]) for release in newer]
    return _Running(
        releases=found,
        newer=tuple(Rejected(choice=f"{profile.leads} {r.version}", because=s.says) for r, s in said if s),
        remedy=said[0][1].remedy if said and said[0][1] else None,
    )


def _wished(profile: Profile, matrix: BackendMatrix, question: Question) -> list[Release]:
    """The wheels that the pins allow, newest first. A release that is not listed takes the row just below it."""
    listed = list(matrix.release)
    if question.own_indexes:
        listed = choices(matrix.backend, matrix.release, question.facts.accelerator == "cpu")
    pin = question.pinned.get(profile.leads, "")
    left = [release for release in listed if not pin or versions.within(release.version, pin)]
    exact = next((v for op, v in versions.clauses(pin) or () if op == "==" and "*" not in v), "")
    row = release_of(matrix, exact) if exact and not left and not versions.local(exact) else None
    return [msgspec.structs.replace(row, version=exact, builds=())] if row else left


def _against(
    profile: Profile, matrix: BackendMatrix, release: Release, question: Question, machine: Sequence[Verdict]
) -> _Said | None:
    """The first thing that speaks against a release here; None where nothing does."""
    verdict = next(against(matrix, release, question.snapshot, Intent(), machine, question.project), None)
    if verdict is not None:
        says = verdict.actual if verdict.cause == "dependency_version_conflict" else verdict.says
        says = says.removeprefix(f"{matrix.backend.title} {release.version} ").rstrip(".")
        return _Said(says=says, remedy=verdict.remedy)
    facts = question.facts
    if is_for_another_gpu(release, facts.accelerator):
        return _for_another_gpu(matrix, release, question, machine)
    if "torch" in profile.packages and facts.accelerator is not None:
        chosen = torch_for(facts, release)
        if chosen.build is None:
            reason = chosen.rejected[0].because if chosen.rejected else "the tables list no such build"
            return _Said(says=f"needs torch {release.torch}: {reason}")
    if facts.accelerator == "cpu" and matrix.backend.cpu_index and not release.index:
        return _Said(says="its default wheel is built for a GPU")
    return None


def _for_another_gpu(matrix: BackendMatrix, release: Release, question: Question, machine: Sequence[Verdict]) -> _Said:
    """What the backend's rows say of a GPU that its default wheel is not built for."""
    scene = Scene(question.snapshot, Intent(), matrix.backend, Absent(source="looking at a release"), release)
    told = (v for v in judge_rows(matrix.requirement, scene, machine) if v.cause == "accelerator_wheel_mismatch")
    verdict = next(told, None)
    if verdict is None:
        return _Said(says=f"its wheel is built for {release.variant}")
    return _Said(says=verdict.says.rstrip("."), remedy=verdict.remedy)


def _agree(releases: Sequence[Release]) -> bool:
    """Whether exact torch pins and CUDA runtimes of several packages are one and the same."""
    exact = {v for r in releases for op, v in versions.clauses(r.torch) or () if op == "=="}
    runtimes = {r.variant for r in releases if r.variant}
    return len(exact) <= 1 and len(runtimes) <= 1


def _no_release(profile: Profile, each: _Running, question: Question) -> Blocked:
    first = each.newer[0] if each.newer else None
    reason = f"{first.choice}: {first.because}" if first else "every listed release is blocked"
    return Blocked(
        says=f"no version works: {profile.title}: {reason}",
        remedy=_nearest(profile, question) or each.remedy or _another_backend(profile),
    )


def _another_backend(profile: Profile) -> Remedy:
    return Remedy(says=f"See what blocks it with `envcheck check --backend {profile.backend}`, or use another backend.")


# --- the nearest way out ----------------------------------------------------------------------------------------------


def _nearest(profile: Profile, question: Question) -> Remedy | None:
    """The smallest change with which a release runs: no pins, another Python, a newer driver, or the last two."""
    free = msgspec.structs.replace(question, pinned={}, project=Policy(forbidden=question.project.forbidden))
    if question.pinned and (release := _first(profile, free)):
        return Remedy(
            says=f"Give up what stands in the way among the pins: {profile.leads} {release.version} runs here."
        )
    for python in (None, *PREFERRED_PYTHONS):
        if python is not None and (release := _first(profile, _with_python(question, python))):
            return Remedy(
                says=f"Use Python {python}: {profile.leads} {release.version} then runs here.",
                commands=(f"uv venv --python {python} .venv",),
                scope="new_environment",
            )
    for python in (None, "3.12"):
        for driver in _drivers(question.facts):
            changed = _with_driver(question, driver)
            changed = _with_python(changed, python) if python else changed
            if release := _first(profile, changed):
                also = f" and use Python {python}" if python else ""
                then = f"{profile.leads} {release.version} then runs here"
                says = f"Update the NVIDIA driver to {driver} or newer{also}: {then}."
                return Remedy(says=says, risk="restart", needs_root=True, scope="driver")
    return None


def _first(profile: Profile, question: Question) -> Release | None:
    return next(iter(_running(profile, question).releases), None)


def _drivers(facts: WheelFacts) -> tuple[str, ...]:
    """The floors of CUDA 12 and 13 that the driver is below; none without an NVIDIA GPU."""
    if facts.accelerator != "nvidia":
        return ()
    floors = [floor for cuda in ("12", "13") if (floor := tables.driver_floor(cuda))]
    numbers = [floor.windows if facts.windows_driver else floor.linux for floor in floors]
    return tuple(n for n in numbers if facts.driver is None or versions.at_least(facts.driver, n) is False)


def _with_python(question: Question, python: str) -> Question:
    version = Known(value=f"{python}.9", source="looking for a way out")
    changed = msgspec.structs.replace(question.snapshot.python, version=version)
    return _of(question, msgspec.structs.replace(question.snapshot, python=changed))


def _with_driver(question: Question, driver: str) -> Question:
    known = Known(value=driver, source="looking for a way out")
    unread = Unknown(why="looking for a way out")
    nvidia = msgspec.structs.replace(question.snapshot.nvidia, driver=known, user_mode_driver=known, cuda_driver=unread)
    return _of(question, msgspec.structs.replace(question.snapshot, nvidia=nvidia))


def _of(question: Question, snapshot: Snapshot) -> Question:
    return msgspec.structs.replace(question, snapshot=snapshot, facts=wheel_facts(snapshot))
