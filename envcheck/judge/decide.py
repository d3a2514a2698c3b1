"""Decide what to install: the one join of driver × GPU × Python × C library × platform × pins × policy, with reasons.

Pure. The newest that works is taken; what was turned down is named with the reason; where nothing works, the nearest
way out is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from envcheck.judge import tables, torch_build, versions
from envcheck.judge.leads import Found, Question, leading
from envcheck.judge.policy import Policy
from envcheck.judge.wheels import Build, WheelFacts, best_torch, torch_for, wheel_facts
from envcheck.schema.errors import InputError
from envcheck.schema.plan import Blocked, Decision, OwnIndex, Rejected
from envcheck.schema.recipe import Choice, Profile
from envcheck.schema.requirement import Release
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Remedy

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9._, -]+\])?")
"""A distribution's name, with extras or without (packaging.python.org, "Names and normalization")."""


class Decided:
    """A decision, what to ask the resolver for, and why nothing can be installed where that is so."""

    __slots__ = ("blocked", "choice", "decision", "instead", "trade")

    def __init__(
        self,
        decision: Decision,
        choice: Choice,
        blocked: tuple[Blocked, ...] = (),
        instead: Decided | None = None,
        trade: str = "",
    ) -> None:
        self.decision = decision
        self.choice = choice
        self.blocked = blocked
        self.instead = instead
        """What the default index has that runs here, for where an index of this decision's own cannot be reached."""
        self.trade = trade
        """What is given up with `instead`, as a clause."""

    def taken(self, choice: Choice) -> Decided | None:
        """The one of the two decisions that asks for `choice`; None where neither does."""
        if choice == self.choice:
            return self
        return self.instead if self.instead is not None and choice == self.instead.choice else None


def decide(
    snapshot: Snapshot, profiles: Sequence[Profile], pins: Sequence[str] = (), policy: Policy | None = None
) -> Decided:
    """What to install for these profiles on this machine. Raises InputError for pins that contradict each other."""
    pinned = _pins(
        [*((p, "envcheck.toml") for p in (policy.pins if policy else ())), *((p, "--pin") for p in pins)], policy
    )
    project = Policy(pins=tuple(f"{n}{s}" for n, s in pinned.items()), forbidden=policy.forbidden if policy else ())
    question = Question(snapshot=snapshot, facts=wheel_facts(snapshot), pinned=pinned, project=project)
    found = leading(profiles, question)
    best = _decided(profiles, question, found)
    if not best.choice.indexes:
        return best
    plain = leading(profiles, msgspec.structs.replace(question, own_indexes=False))
    instead = _decided(profiles, question, plain)
    if instead.blocked:
        return best
    trade = _trade(found.releases, plain.releases, instead.decision)
    because = (*best.decision.because, f"where that index cannot be reached: {trade}")
    return Decided(msgspec.structs.replace(best.decision, because=because), best.choice, (), instead, trade)


def _decided(profiles: Sequence[Profile], question: Question, found: Found) -> Decided:
    """The decision for the releases of the leading packages that were found."""
    facts, leads = question.facts, found.releases
    rejected, blocked = list(found.rejected), list(found.blocked)
    wants_torch = any("torch" in profile.packages for profile in profiles)
    specifier = ",".join(filter(None, [question.pinned.get("torch", ""), *(r.torch for r in leads.values())]))
    build = None
    if wants_torch and not blocked:
        build, why, block = _torch(facts, specifier, leads)
        rejected += why
        blocked += block
    torch = torch_build.asked(build, specifier) if build else None
    indexes = tuple(
        OwnIndex(package=name, url=release.index, source=release.source, checked=release.checked)
        for name, release in leads.items()
        if release.index
    )
    because = [
        *torch_build.because_of(build, facts),
        *(_lies(own, leads[own.package]) for own in indexes),
        *torch_build.behind(build, torch, leads),
    ]
    decision = Decision(
        accelerator=torch_build.accelerator_of(build, facts) if build else None,
        torch=torch,
        index_url=build.index_url if build and not torch_build.is_default(build, facts) else None,
        indexes=indexes,
        kernels=torch_build.kernels_of(build, facts) if build else (),
        because=tuple(because),
        rejected=tuple(rejected[:16]),
    )
    choice = Choice(
        requirements=tuple(_requirements(profiles, leads, torch, question.pinned)),
        without_dependencies=tuple(dict.fromkeys(w for p in profiles for w in p.without_dependencies)),
        imports=tuple(dict.fromkeys(name for p in profiles for name in p.imports)),
        torch_backend=build.variant if build else None,
        torch_index=build.index_url if build else "",
        torch_elsewhere=torch_build.elsewhere(build, facts, specifier) if build else (),
        indexes=indexes,
    )
    return Decided(decision, choice, tuple(blocked))


def _lies(own: OwnIndex, release: Release) -> str:
    seen = f"{own.source}, {own.checked}"
    return f"{own.package} {release.version} lies in an index of its own, {own.url} ({seen})"


def _trade(best: dict[str, Release], plain: dict[str, Release], decision: Decision) -> str:
    """What the default index offers instead of the best releases, and how far behind that is."""
    found = [f"{name} {plain[name].version}" for name, release in best.items() if plain[name] != release]
    torch = f" with torch {decision.torch} ({decision.accelerator})" if decision.torch else ""
    wanted = [f"{name} {release.version}" for name, release in best.items() if plain[name] != release]
    return f"{' and '.join(found)}{torch} from the package index runs here, older than {' and '.join(wanted)}"


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


def _torch(
    facts: WheelFacts, specifier: str, leads: dict[str, Release]
) -> tuple[Build | None, list[Rejected], list[Blocked]]:
    """The torch build: the one the leading release was compiled against, else the newest that runs everywhere."""
    compiled = [release for release in leads.values() if release.variant.startswith("cu")]
    if compiled and facts.accelerator == "nvidia":
        one = msgspec.structs.replace(compiled[0], torch=specifier)
        build = torch_for(facts, one).build
        if build is not None:
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
        if name == "torch":
            if torch is not None:
                yield f"torch=={torch}"
        elif name in leads:
            yield f"{name}=={leads[name].version}"
        else:
            yield f"{name}{pinned.get(name) or bounds.get(name, floors.get(name, ''))}"
    for name, specifier in pinned.items():
        if not any(name in profile.packages for profile in profiles):
            yield f"{name}{specifier}"
