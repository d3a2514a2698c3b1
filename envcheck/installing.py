"""The install job: decide, resolve, show, act, look again. Long work, split from `api` like the main job."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from envcheck import api
from envcheck.host import Host
from envcheck.install import profiles as recipes
from envcheck.install import uv
from envcheck.install.in_place import install_in_place, open_environment
from envcheck.install.journal import Journal
from envcheck.install.layout import Layout, open_target
from envcheck.install.planning import cost_of, manual_steps, require_room, steps_for
from envcheck.install.receipt import Receipt
from envcheck.install.receipt import read as read_receipt
from envcheck.install.resolve import Resolved, Target, resolve
from envcheck.install.soundness import unsound
from envcheck.install.transaction import ONLINE, Offline, install
from envcheck.judge.decide import Decided, decide
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import value_of
from envcheck.schema.plan import Decision, Plan, Step
from envcheck.schema.recipe import Profile
from envcheck.schema.snapshot import Snapshot
from envcheck.verify import installed, verify

if TYPE_CHECKING:
    from envcheck.judge.policy import Policy

Progress = Callable[[str], None]


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
    is_current, warnings = False, tuple[str, ...]()
    if host is not None and not decided.blocked:
        names = tuple(profile.name for profile in chosen)
        target = Target(python=minor(snapshot))
        if here is not None and not wanted.upgrade:
            is_current = (here.profiles, here.python, here.choice) == (names, target.python, decided.choice)
        if is_current:
            receipt = here
        else:
            with tempfile.TemporaryDirectory(prefix="envcheck-") as work:
                found, receipt = resolved(host, decided, names, target, Path(work), wanted.sources)
            warnings = found.warnings
    where = str(wanted.target or wanted.python or "")
    steps: Iterable[Step] = ()
    if not is_current and not decided.blocked:
        steps = steps_for(decided, where, wanted.python is not None, _serves(snapshot, chosen))
    plan = Plan(
        profile="+".join(profile.name for profile in chosen),
        target=where,
        decision=_as_resolved(decided.decision, receipt),
        steps=(*steps, *manual_steps(chosen, snapshot)),
        packages=receipt.packages if receipt else (),
        blocked=decided.blocked,
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
        if not _drifted(wanted, receipt):
            return msgspec.structs.replace(plan, generation=_number(wanted), outcome="done")
        progress("the environment is not what was installed: installing it again")
    if plan.cost is not None:
        require_room(plan.cost, plan.target)
    number = _carry_out(host, wanted, prepared, receipt, progress)
    return msgspec.structs.replace(plan, generation=number, outcome="done")


def _carry_out(host: Host, wanted: Wanted, prepared: Prepared, receipt: Receipt, progress: Progress) -> int:
    """The transaction; the number of the change is returned."""
    serves = {verdict for step in prepared.plan.steps for verdict in step.serves}

    def wrong(python: str) -> list[str]:
        beside = (lambda: _damage(python), lambda: _unmet(host, python, receipt.profiles, serves))
        return unsound(host, python, prepared.decided, progress, beside)

    with tempfile.TemporaryDirectory(prefix="envcheck-") as work:
        lock = Path(work) / "requirements.txt"
        lock.write_text(receipt.lock, encoding="utf-8")
        if wanted.python is not None:
            return install_in_place(
                host,
                open_environment(wanted.python),
                lock,
                reinstall=bool(_damage(str(wanted.python))),
                receipt=receipt,
                verify=wrong,
                progress=progress,
                sources=wanted.sources,
            )
        return install(
            host,
            open_target(wanted.target or Path()),
            lock,
            host.target_python,
            receipt=receipt,
            verify=wrong,
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


def _drifted(wanted: Wanted, receipt: Receipt) -> bool:
    """Whether files are damaged, or somebody has since changed a version that the receipt states."""
    python = str(wanted.python or Layout(wanted.target or Path()).python)
    there = installed(Host(target_python=python, level=1, ports=False))
    return any(there.get(p.name) != p.version for p in receipt.packages) or bool(_damage(python))


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
    )
    return found, receipt


def minor(snapshot: Snapshot) -> str:
    """The target's Python as "3.12". Raises EnvcheckError where it is not known."""
    version = value_of(snapshot.python.version)
    if version is None:
        raise EnvcheckError("The version of the target's Python could not be read: name its interpreter with --python.")
    return ".".join(version.split(".")[:2])


def _serves(snapshot: Snapshot, chosen: Sequence[Profile]) -> tuple[str, ...]:
    """The verdicts that installing these profiles is meant to turn to met."""
    backends = [profile.backend for profile in chosen if profile.backend]
    if not backends:
        return ()
    verdicts = api.judge(snapshot, backends=backends).verdicts
    return tuple(v.id for v in verdicts if v.status == "not_met" and v.fixed_by_install)


def _unmet(host: Host, python: str, names: Sequence[str], serves: set[str]) -> list[str]:
    """Look again, with the new environment as the target: what the plan served and is still not met."""
    if not serves:
        return []
    looking = Host(env=host.env, target_python=python, limit_s=host.limit_s, level=1, ports=host.ports)
    backends = [profile.backend for profile in recipes.load(names) if profile.backend]
    verdicts = api.judge(api.this_machine(looking), backends=backends).verdicts
    return [v.says for v in verdicts if v.id in serves and v.status == "not_met"]


def _damage(python: str) -> list[str]:
    """Files of installed packages that are not what their RECORD says (existence and size: uv has just hashed them)."""
    found = verify(Host(target_python=python, level=1, ports=False), hashes=False).damage
    broken = [d for d in found if d.kind not in ("foreign", "no_record")]
    return [f"{d.package}: {d.count} files {d.kind}, for example {d.example}" for d in broken]
