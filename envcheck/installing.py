"""The install job: decide, resolve, show, act, look again. Long work, split from `api` like the main job."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from envcheck.host import Host
from envcheck.install import pace
from envcheck.install import profiles as recipes
from envcheck.install.in_place import from_folders, install_in_place, open_environment
from envcheck.install.journal import Journal
from envcheck.install.layout import Layout, open_target
from envcheck.install.planning import cost_of, manual_steps, require_room, steps_for
from envcheck.install.receipt import Receipt
from envcheck.install.receipt import read as read_receipt
from envcheck.install.resolve import Target, UnresolvableError
from envcheck.install.transaction import ONLINE, Offline, install
from envcheck.install.users_settings import mirrors
from envcheck.judge.decide import Decided, decide
from envcheck.locking import forbidden, from_shipped, minor, resolved
from envcheck.looking_again import Verification, damage, drifted, served_by
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import value_of
from envcheck.schema.plan import Blocked, Decision, Plan, Step
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
    found: int | None = None
    """The change in use when the plan was made; None where there was none."""


class ChangedMeanwhileError(EnvcheckError):
    """Another installation changed the environment after the plan was made."""


def prepare(snapshot: Snapshot, wanted: Wanted, policy: Policy | None = None, host: Host | None = None) -> Prepared:
    """What would be done. With a host the versions are resolved (needs the index or a wheelhouse)."""
    found = _number(wanted) if host is not None else None
    here = _kept(wanted) if host is not None else None
    earlier = here.profiles if here and not wanted.only else ()
    chosen = recipes.load((*earlier, *wanted.profiles))
    decided = decide(snapshot, chosen, wanted.pins, policy)
    receipt: Receipt | None = None
    is_current, warnings, blocked = False, tuple[str, ...](), decided.blocked
    if host is not None and not decided.blocked:
        names = tuple(profile.name for profile in chosen)
        if here is not None and not wanted.upgrade and (here.profiles, here.python) == (names, minor(snapshot)):
            is_current = decided.taken(here.choice) is not None
        try:
            receipt, warnings = (here, ()) if is_current else _locked(host, snapshot, wanted, decided, chosen)
        except UnresolvableError as error:
            blocked = (Blocked(says=f"no version works: {error}", remedy=_APART),)
        if receipt is not None and not is_current:
            blocked = tuple(_against(receipt, wanted, policy))
            receipt = None if blocked else receipt
        decided = (decided.taken(receipt.choice) if receipt else None) or decided
    where = str(wanted.target or wanted.python or "")
    steps: Iterable[Step] = ()
    if not is_current and not blocked:
        family, version = value_of(snapshot.os.family), value_of(snapshot.python.version)
        serves, in_place = served_by(snapshot, chosen), wanted.python is not None
        steps = steps_for(decided, receipt, where, in_place, serves, family, minor(snapshot) if version else "")
    plan = Plan(
        profile="+".join(profile.name for profile in chosen),
        target=where,
        decision=_as_resolved(decided.decision, receipt),
        steps=(*steps, *manual_steps(chosen, snapshot)),
        packages=receipt.packages if receipt else (),
        blocked=blocked,
        warnings=warnings,
        mirrors=mirrors(host) if host is not None and not wanted.sources else {},
        cost=cost_of(receipt.packages, _free(where), pace.bytes_per_s(host))
        if receipt and host and not is_current
        else None,
    )
    return Prepared(plan=plan, decided=decided, receipt=receipt, is_current=is_current, found=found)


def _locked(
    host: Host, snapshot: Snapshot, wanted: Wanted, decided: Decided, chosen: Sequence[Profile]
) -> tuple[Receipt, tuple[str, ...]]:
    """The receipt of the environment to make, and warnings about packages that are far behind."""
    if not wanted.upgrade and not wanted.sources and (receipt := from_shipped(snapshot, decided, chosen)):
        return receipt, ()
    names = tuple(profile.name for profile in chosen)
    if wanted.sources.folder is not None:
        from envcheck.install import bundle  # what reads wheels is not needed to say that nothing is to be done

        manifest = bundle.read(wanted.sources.folder)
        bundle.require_profiles(wanted.sources.folder, manifest, names)
        bundle.require_whole(wanted.sources.folder, manifest)
    with tempfile.TemporaryDirectory(prefix="envcheck-") as work:
        found, receipt = resolved(host, decided, names, Target(python=minor(snapshot)), Path(work), wanted.sources)
    return receipt, found.warnings


def _against(receipt: Receipt, wanted: Wanted, policy: Policy | None) -> Iterator[Blocked]:
    """What stands against a lock: a package that the project forbids, or one that somebody works on in this place."""
    if banned := forbidden(receipt, policy):
        yield banned
    there = from_folders(open_environment(wanted.python)) if wanted.python else {}
    for name in sorted({package.name for package in receipt.packages} & set(there)):
        says = f"{name} is installed here {there[name]}, and this plan would replace it"
        yield Blocked(
            says=says, remedy=Remedy(says="Uninstall it first, or use --target for an environment of its own.")
        )


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

    def planned_on() -> None:
        if (now := _number(wanted)) != prepared.found:
            says = f"Another installation changed {prepared.plan.target} meanwhile (change {now})"
            raise ChangedMeanwhileError(f"{says}: run the same command again.")

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
                planned_on=planned_on,
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
            planned_on=planned_on,
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
