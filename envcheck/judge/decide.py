"""Decide what to install: the one join of driver × GPU × Python × C library × platform × pins × policy, with reasons.

Pure. The newest that works is taken; what was turned down is named with the reason; where nothing works, the nearest
way out is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product

import msgspec

from envcheck.judge import rows, tables, torch_build, versions
from envcheck.judge.evaluate import judge_machine, newest_that_runs
from envcheck.judge.policy import Policy, newest_that_keeps_pins, release_conflicts
from envcheck.judge.wheels import Build, WheelFacts, best_torch, judge_build, wheel_facts
from envcheck.schema.errors import InputError
from envcheck.schema.plan import Blocked, Decision, Rejected
from envcheck.schema.recipe import Choice, Profile
from envcheck.schema.requirement import Release
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Intent, Remedy

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9._, -]+\])?")
"""A distribution's name, with extras or without (packaging.python.org, "Names and normalization")."""


class Decided:
    """A decision, what to ask the resolver for, and why nothing can be installed where that is so."""

    __slots__ = ("blocked", "choice", "decision")

    def __init__(self, decision: Decision, choice: Choice, blocked: tuple[Blocked, ...] = ()) -> None:
        self.decision = decision
        self.choice = choice
        self.blocked = blocked


def decide(
    snapshot: Snapshot, profiles: Sequence[Profile], pins: Sequence[str] = (), policy: Policy | None = None
) -> Decided:
    """What to install for these profiles on this machine. Raises InputError for pins that contradict each other."""
    pinned = _pins(
        [*((p, "envcheck.toml") for p in (policy.pins if policy else ())), *((p, "--pin") for p in pins)], policy
    )
    facts = wheel_facts(snapshot)
    rejected: list[Rejected] = []
    blocked: list[Blocked] = []
    project = Policy(pins=tuple(f"{n}{s}" for n, s in pinned.items()), forbidden=policy.forbidden if policy else ())
    leads, why_not, block = _leads([profile for profile in profiles if profile.leads], snapshot, facts, pinned, project)
    rejected += why_not
    blocked += block
    wants_torch = any("torch" in profile.packages for profile in profiles)
    specifier = ",".join(filter(None, [pinned.get("torch", ""), *(r.torch for r in leads.values())]))
    build = None
    if wants_torch and not blocked:
        build, why, block = _torch(facts, specifier, leads)
        rejected += why
        blocked += block
    torch = torch_build.asked(build, specifier) if build else None
    because = [*torch_build.because_of(build, facts), *torch_build.behind(build, torch, leads)]
    decision = Decision(
        accelerator=torch_build.accelerator_of(build, facts) if build else None,
        torch=torch,
        index_url=build.index_url if build and not torch_build.is_default(build, facts) else None,
        kernels=torch_build.kernels_of(build, facts) if build else (),
        because=tuple(because),
        rejected=tuple(rejected[:16]),
    )
    choice = Choice(
        requirements=tuple(_requirements(profiles, leads, torch, pinned)),
        without_dependencies=tuple(dict.fromkeys(w for p in profiles for w in p.without_dependencies)),
        imports=tuple(dict.fromkeys(name for p in profiles for name in p.imports)),
        torch_backend=build.variant if build else None,
        torch_index=build.index_url if build else "",
        torch_elsewhere=torch_build.elsewhere(build, facts, specifier) if build else (),
    )
    return Decided(decision, choice, tuple(blocked))


def _pins(pins: Iterable[tuple[str, str]], policy: Policy | None) -> dict[str, str]:
    """Specifier by package, from pins and where they are written.

    An exact pin contradicts whatever of the same package does not contain it; ranges are joined, and the resolver says
    whether anything lies in both. A pin of a forbidden package contradicts the policy.
    """
    found: dict[str, tuple[str, str]] = {}
    for pin, origin in pins:
        cut = next((i for i, letter in enumerate(pin) if letter in "=<>!~"), None)
        if cut is None or not _NAME.fullmatch(pin[:cut].strip()) or versions.clauses(pin[cut:]) is None:
            raise InputError(f"The pin {pin!r} is not a package with a version: write name==version.")
        name, specifier = pin[:cut].strip().lower().replace("_", "-"), pin[cut:].strip()
        before, where = found.get(name, ("", ""))
        if before and _exclude_each_other(before, specifier):
            raise InputError(
                f"The pins {name}{before} ({where}) and {name}{specifier} ({origin}) contradict each other: keep one."
            )
        if policy and name in policy.forbidden:
            raise InputError(f"{name} is pinned and forbidden by envcheck.toml at once: drop one of the two.")
        joined = specifier if before in ("", specifier) else f"{before},{specifier}"
        found[name] = (joined, origin if where in ("", origin) else f"{where} and {origin}")
    return {name: specifier for name, (specifier, _) in found.items()}


def _exclude_each_other(one: str, other: str) -> bool:
    """Whether an exact version in one specifier lies outside the other."""
    sides = ((one, other), (other, one))
    return any(
        op == "==" and "*" not in version and versions.within(version, beside) is False
        for specifier, beside in sides
        for op, version in versions.clauses(specifier) or ()
    )


def _leads(
    profiles: Sequence[Profile], snapshot: Snapshot, facts: WheelFacts, pinned: dict[str, str], project: Policy
) -> tuple[dict[str, Release], list[Rejected], list[Blocked]]:
    """The newest releases of the leading packages that run here, keep to the project's pins and bans, and agree on
    torch with each other."""
    found: list[tuple[Release, ...]] = []
    rejected: list[Rejected] = []
    blocked: list[Blocked] = []
    for profile in profiles:
        running, newer = _running(profile, snapshot, facts, pinned.get(profile.leads, ""), project)
        if not running:
            blocked.append(_no_release(profile, newer))
        found.append(running)
        rejected += newer
    if blocked or not profiles:
        return {}, rejected, blocked
    # Fewest steps back in all: with one leading package this is its newest release that runs.
    picks = [pick for pick in product(*(list(enumerate(running)) for running in found)) if _agree([r for _, r in pick])]
    if picks:
        chosen = [release for _, release in min(picks, key=lambda pick: sum(rank for rank, _ in pick))]
        for profile, running, release in zip(profiles, found, chosen, strict=True):
            passed = running[: running.index(release)][:4]
            because = "its torch is not the one that the other packages need"
            rejected += [Rejected(choice=f"{profile.leads} {r.version}", because=because) for r in passed]
        return {p.leads: r for p, r in zip(profiles, chosen, strict=True)}, rejected, []
    names = " and ".join(profile.title for profile in profiles)
    says = f"no version works: {names} pin different torch releases in every version that runs here"
    return {}, rejected, [Blocked(says=says, remedy=Remedy(says="Give each an environment of its own (--target)."))]


def _running(
    profile: Profile, snapshot: Snapshot, facts: WheelFacts, pin: str, project: Policy
) -> tuple[tuple[Release, ...], list[Rejected]]:
    """Releases that run here with a torch that runs here, newest first, and why the newer ones do not."""
    matrix = rows.backend(profile.backend)
    machine = judge_machine(snapshot, Intent())
    left = tuple(r for r in matrix.release if not pin or versions.within(r.version, pin))
    if not left:
        return (), [Rejected(choice=f"{profile.leads}{pin}", because="the matrix lists no such release")]
    found: list[Release] = []
    for release in left:
        one = msgspec.structs.replace(matrix, release=(release,))
        wants_torch = "torch" in profile.packages
        if newest_that_runs(one, snapshot, Intent(), machine, project) is None:
            continue
        if wants_torch and facts.accelerator is not None and best_torch(facts, release.torch).build is None:
            continue
        found.append(release)
    if found:
        newer = left[: left.index(found[0])]
    else:  # the release that keeps the pins comes nearest, and what is wrong with it is what is to be known
        closest = newest_that_keeps_pins(project, matrix.backend, left)
        newer = (*((closest,) if closest else ()), *(r for r in left[:3] if r != closest))
    rejected = []
    for release in newer[:4]:
        clashes = release_conflicts(project, matrix.backend, release)
        because = clashes[0].actual if clashes else _why_not(release, snapshot)
        rejected.append(Rejected(choice=f"{profile.leads} {release.version}", because=because))
    return tuple(found), rejected


def _agree(releases: Sequence[Release]) -> bool:
    """Whether exact torch pins and CUDA runtimes of several packages are one and the same."""
    exact = {v for r in releases for op, v in versions.clauses(r.torch) or () if op == "=="}
    runtimes = {r.variant for r in releases if r.variant}
    return len(exact) <= 1 and len(runtimes) <= 1


def _why_not(release: Release, snapshot: Snapshot) -> str:
    """The first plain reason why a release does not run on this machine."""
    facts = wheel_facts(snapshot)
    if release.python and facts.python and versions.within(facts.python, release.python) is False:
        return f"needs Python {release.python}, this is {facts.python}"
    if release.glibc and facts.glibc and versions.at_least(facts.glibc, release.glibc) is False:
        return f"needs glibc ≥ {release.glibc}, this is {facts.glibc}"
    floor = release.min_compute_capability
    low = [c for c in facts.capabilities if floor and c and versions.at_least(c, floor) is False]
    if low:
        return f"needs compute capability ≥ {floor}, this GPU has {low[0]}"
    if release.torch:
        reasons = best_torch(facts, release.torch).rejected
        own = [reason for reason in reasons if reason.choice.endswith(f"+{release.variant}")]
        if reasons:
            return f"needs torch {release.torch}: {(own or reasons)[0].because}"
    return "a requirement of the matrix is not met: see `envcheck check`"


def _no_release(profile: Profile, why: Sequence[Rejected]) -> Blocked:
    reason = why[0].because if why else "every listed release is blocked"
    named = f"{why[0].choice}: " if why else ""
    return Blocked(
        says=f"no version works: {profile.title}: {named}{reason}",
        remedy=Remedy(
            says=f"See what blocks it with `envcheck check --backend {profile.backend}`, or use another backend."
        ),
    )


def _torch(
    facts: WheelFacts, specifier: str, leads: dict[str, Release]
) -> tuple[Build | None, list[Rejected], list[Blocked]]:
    """The torch build: the one the leading release was compiled against, else the newest that runs everywhere."""
    variants = {r.variant for r in leads.values() if r.variant and r.variant.startswith("cu")}
    if facts.accelerator == "nvidia" and len(variants) == 1:
        variant = next(iter(variants))
        for release in tables.torch_wheels().release:
            exact = [c for c in versions.clauses(specifier) or () if c[0] == "=="]
            if exact and not all(v.startswith(release.line + ".") for _, v in exact):
                continue
            if variant in release.variants:
                build = judge_build(release, variant, facts)
                if build.runs is not False:
                    return build, [], []
    choice = best_torch(facts, specifier)
    if choice.build is not None:
        return choice.build, _newer(choice.build, choice.rejected), []
    reason = choice.rejected[0].because if choice.rejected else f"the tables list no torch {specifier or 'build'}"
    if facts.accelerator is None:
        reason = "nobody could tell which GPU this machine has"
    block = Blocked(
        says=f"no version works: torch {specifier}: {reason}".replace("  ", " "), remedy=_way_out(facts, specifier)
    )
    return None, list(choice.rejected), [block]


def _newer(build: Build, rejected: Iterable[Rejected]) -> list[Rejected]:
    """What was turned down on the way to a build; older releases than it would not have been taken anyway."""
    releases = tables.torch_wheels().release
    passed = tuple(f"torch {release.version}+" for release in releases[: releases.index(build.release) + 1])
    return [each for each in rejected if each.choice.startswith(passed)]


def _way_out(facts: WheelFacts, specifier: str) -> Remedy:
    """The nearest change that lets some torch build run: of the pins, else of the machine."""
    free = best_torch(facts).build if specifier else None
    if free is not None and free.runs:
        return Remedy(says=f"Give up torch {specifier}: torch {free.release.version} ({free.variant}) runs here.")
    newest = tables.torch_wheels().release[0]
    minor = None if facts.python is None else tuple(int(p) for p in facts.python.split(".")[:2] if p.isdigit())
    oldest = min(tuple(map(int, p.rstrip("t").split("."))) for p in newest.python)
    if minor is not None and minor < oldest:
        return Remedy(says=f"Use Python {oldest[0]}.{oldest[1]} or newer.", commands=("uv venv --python 3.12 .venv",))
    if facts.accelerator == "nvidia" and not facts.driver_absent and _is_behind(facts):
        floor = tables.driver_floor("12.6")
        needs = f"{floor.linux} (Windows {floor.windows})" if floor else "525"
        return Remedy(says=f"Update the NVIDIA driver to {needs} or newer.", risk="restart", needs_root=True)
    return Remedy(says="Use llama.cpp or Ollama, which need no torch.")


def _is_behind(facts: WheelFacts) -> bool:
    """Whether the driver does not serve CUDA 12 for certain, whose builds run on the most GPUs."""
    served = tables.serving("12.6", driver=facts.driver, cuda_driver=facts.cuda_driver, windows=facts.windows_driver)
    return served.runs is not True


def _requirements(
    profiles: Sequence[Profile], leads: dict[str, Release], torch: str | None, pinned: dict[str, str]
) -> Iterable[str]:
    floors = {row.name: f">={row.required}" for group in tables.package_groups() for row in group.package}
    bounds = {name: spec for release in leads.values() for name, spec in release.packages.items()}
    for name in dict.fromkeys(name for profile in profiles for name in profile.packages):
        if name in pinned:
            yield f"{name}{pinned[name]}"
        elif name == "torch":
            if torch is not None:
                yield f"torch=={torch}"
        elif name in leads:
            yield f"{name}=={leads[name].version}"
        else:
            yield f"{name}{bounds.get(name, floors.get(name, ''))}"
    for name, specifier in pinned.items():
        if not any(name in profile.packages for profile in profiles):
            yield f"{name}{specifier}"
