"""The install job: decide, resolve, show, act, look again. Long work, split from `api` like the main job."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from envcheck.host import Host
from envcheck.install import profiles as recipes
from envcheck.install import shipped, uv
from envcheck.install.in_place import install_in_place, open_environment
from envcheck.install.journal import Journal
from envcheck.install.layout import Layout, open_target
from envcheck.install.planning import cost_of, manual_steps, require_room, steps_for
from envcheck.install.receipt import Receipt
from envcheck.install.receipt import read as read_receipt
from envcheck.install.resolve import Resolved, Target, UnresolvableError, resolve
from envcheck.install.transaction import ONLINE, Offline, install
from envcheck.judge import versions
from envcheck.judge.decide import Decided, decide
from envcheck.judge.wheels import wheel_facts
from envcheck.looking_again import Verification, damage, drifted, served_by
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import value_of
from envcheck.schema.plan import Blocked, Decision, Plan, PlannedPackage, Step
from envcheck.schema.recipe import Profile
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Remedy
from envcheck.verify import interpreter

if TYPE_CHECKING:
    from envcheck.judge.policy import Policy

Progress = Callable[[str], None]
_APART = Remedy(says="Loosen a pin, or give each profile an environment of its own (--target).")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked to install, and where."""

    profiles: tuple[str, ...]
    target: Path | None = None
    """A folder for an environment of envcheck's own."""
    python: Path | None = None
    """An interpreter whose environment is changed in place."""
    pins: tuple[str, ...] = ()
    sources: Offline = ONLINE
    only: bool = False
    """Leave out what was installed into the target before."""
    upgrade: bool = False
    """Look for newer versions although what is there meets the wish."""
    recheck: bool = False
    """Import everything although the same files were imported here before."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, and what carrying it out needs."""

    plan: Plan
    decided: Decided
    receipt: Receipt | None = None
    """What the new generation will be; None where nothing was resolved."""
    is_current: bool = False
    """The target is that already."""


def prepare(snapshot: Snapshot, wanted: Wanted, policy: Policy | None = None, host: Host | None = None) -> Prepared:
    """What would be done. With a host the versions are resolved (needs the index or a wheelhouse)."""
    here = _kept(wanted) if host is not None else None
    earlier = here.profiles if here and not wanted.only else ()
    chosen = recipes.load((*earlier, *wanted.profiles))
    decided = decide(snapshot, chosen, wanted.pins, policy)
    receipt: Receipt | None = None
    is_current, warnings, blocked = False, tuple[str, ...](), decided.blocked
    if host is not None and not decided.blocked:
        names = tuple(profile.name for profile in chosen)
        target = Target(python=minor(snapshot))
        if here is not None and not wanted.upgrade:
            is_current = (here.profiles, here.python, here.choice) == (names, target.python, decided.choice)
        if is_current:
            receipt = here
        else:
            receipt = None if wanted.upgrade or wanted.sources else _from_shipped(snapshot, decided, chosen)
            if receipt is None:
                with tempfile.TemporaryDirectory(prefix="envcheck-") as work:
                    try:
                        found, receipt = resolved(host, decided, names, target, Path(work), wanted.sources)
                        warnings = found.warnings
                    except UnresolvableError as error:
                        blocked = (Blocked(says=f"no version works: {error}", remedy=_APART),)
    where = str(wanted.target or wanted.python or "")
    steps: Iterable[Step] = ()
    if not is_current and not blocked:
        family = value_of(snapshot.os.family)
        steps = steps_for(decided, receipt, where, wanted.python is not None, served_by(snapshot, chosen), family)
    plan = Plan(
        profile="+".join(profile.name for profile in chosen),
        target=where,
        decision=_as_resolved(decided.decision, receipt),
        steps=(*steps, *manual_steps(chosen, snapshot)),
        packages=receipt.packages if receipt else (),
        blocked=blocked,
        warnings=warnings,
        mirrors=uv.mirrors(host) if host is not None and not wanted.sources else {},
        cost=cost_of(receipt.packages, _free(where)) if receipt and not is_current else None,
    )
    return Prepared(plan=plan, decided=decided, receipt=receipt, is_current=is_current)


def execute(host: Host, wanted: Wanted, prepared: Prepared, progress: Progress) -> Plan:
    """Carry a plan out; the result says which generation is current now. Raises EnvcheckError with nothing changed."""
    plan, receipt = prepared.plan, prepared.receipt
    if receipt is None:
        raise EnvcheckError("There is nothing to carry out: the plan was not resolved.")
    if prepared.is_current:
        if not drifted(_in_use(wanted), receipt):
            return msgspec.structs.replace(plan, generation=_number(wanted), outcome="done")
        progress("the environment is not what was installed: installing it again")
    if plan.cost is not None:
        require_room(plan.cost, plan.target)
    number = _carry_out(host, wanted, prepared, receipt, progress)
    return msgspec.structs.replace(plan, generation=number, outcome="done")


def _carry_out(host: Host, wanted: Wanted, prepared: Prepared, receipt: Receipt, progress: Progress) -> int:
    """The transaction; the number of the change is returned."""
    serves = {verdict for step in prepared.plan.steps for verdict in step.serves}

    verify = Verification(
        host=host, decided=prepared.decided, receipt=receipt, serves=serves, recheck=wanted.recheck, progress=progress
    ).wrong

    with tempfile.TemporaryDirectory(prefix="envcheck-") as work:
        lock = Path(work) / "requirements.txt"
        lock.write_text(receipt.lock, encoding="utf-8")
        if wanted.python is not None:
            return install_in_place(
                host,
                open_environment(wanted.python),
                lock,
                reinstall=bool(damage(str(wanted.python))),
                receipt=receipt,
                verify=verify,
                progress=progress,
                sources=wanted.sources,
            )
        return install(
            host,
            open_target(wanted.target or Path()),
            lock,
            interpreter(host),
            receipt=receipt,
            verify=verify,
            progress=progress,
            sources=wanted.sources,
        )


def _as_resolved(decision: Decision, receipt: Receipt | None) -> Decision:
    """The decision with what the resolver could reach, where that is another release than the one wished for."""
    torch = next((p.version for p in receipt.packages if p.name == "torch"), None) if receipt else None
    version = torch.partition("+")[0] if torch else decision.torch
    because = (*decision.because, *(receipt.notes if receipt else ()))
    return msgspec.structs.replace(decision, torch=version, because=because)


def _kept(wanted: Wanted) -> Receipt | None:
    """The receipt of what is installed now."""
    if wanted.python is not None:
        return read_receipt(open_environment(wanted.python).state)
    if wanted.target is None:
        return None
    layout = Layout(wanted.target)
    number = layout.current_number()
    return None if number is None else read_receipt(layout.folder(number))


def _number(wanted: Wanted) -> int | None:
    """The number of the change in use."""
    if wanted.target is not None:
        return Layout(wanted.target).current_number()
    last = Journal(open_environment(wanted.python or Path()).state / "journal.jsonl").last()
    return last.generation if last else None


def _in_use(wanted: Wanted) -> str:
    """The interpreter of the environment in use."""
    return str(wanted.python or Layout(wanted.target or Path()).python)


def _free(where: str) -> int | None:
    space = Host().space(where or ".")
    return int(space["free"]) if space else None


def resolved(
    host: Host, decided: Decided, names: tuple[str, ...], target: Target, work: Path, sources: Offline = ONLINE
) -> tuple[Resolved, Receipt]:
    """The lock for a decision, and the receipt of an environment made from it."""
    found = resolve(host, decided.choice, target, work, sources)
    receipt = Receipt(
        profiles=names,
        python=target.python,
        choice=decided.choice,
        packages=found.packages,
        lock=found.text,
        notes=found.notes,
        torch_backend=found.torch_backend,
    )
    return found, receipt


def _from_shipped(snapshot: Snapshot, decided: Decided, chosen: Sequence[Profile]) -> Receipt | None:
    """The receipt of an environment made from the locks that envcheck ships; None where they do not fit.

    They fit where every profile has one for this system and Python, not stale, and what it holds is what was decided.
    """
    facts, choice = wheel_facts(snapshot), decided.choice
    if facts.musl:
        return None
    floor = facts.glibc if facts.platform in ("linux_x86_64", "linux_aarch64") else _macos(snapshot)
    place = shipped.Place(platform=facts.platform, floor=floor, python=minor(snapshot))
    names = [(profile.name, choice.torch_backend if "torch" in profile.packages else None) for profile in chosen]
    locks = shipped.for_place(names, place, datetime.now(UTC).date())
    packages = shipped.packages_of(locks, place) if locks else None
    if not locks or packages is None or not _meets(packages, (*choice.requirements, *choice.without_dependencies)):
        return None
    oldest = min(lock.date for lock in locks)
    lines = (f"{p.name}=={p.version} " + " ".join(f"--hash={h}" for h in p.hash.split()) for p in packages)
    return Receipt(
        profiles=tuple(profile.name for profile in chosen),
        python=place.python,
        choice=choice,
        packages=tuple(
            msgspec.structs.replace(p, hash=p.hash.split()[0], origin=f"lock of {oldest}, shipped with envcheck")
            for p in packages
        ),
        lock="\n".join(lines) + "\n",
    )


def _meets(packages: Sequence[PlannedPackage], lines: Sequence[str]) -> bool:
    """Whether every requirement is met by a package of the lock."""
    have = {package.name: package for package in packages}
    for line in lines:
        requirement, _, wanted_hash = line.partition(" --hash=")
        name = requirement[: next((i for i, letter in enumerate(requirement) if letter in "=<>!~"), len(requirement))]
        package = have.get(name.strip().lower().replace("_", "-"))
        if package is None or not versions.within(package.version, requirement[len(name) :]):
            return False
        if wanted_hash and wanted_hash not in package.hash.split():
            return False
    return True


def _macos(snapshot: Snapshot) -> str | None:
    """The version of macOS ("14.5") in the name of the system; None on others."""
    name = value_of(snapshot.os.distro) or ""
    return name.split()[1] if name.lower().startswith("macos ") else None


def minor(snapshot: Snapshot) -> str:
    """The target's Python as "3.12". Raises EnvcheckError where it is not known."""
    version = value_of(snapshot.python.version)
    if version is None:
        raise EnvcheckError("The version of the target's Python could not be read: name its interpreter with --python.")
    return ".".join(version.split(".")[:2])
