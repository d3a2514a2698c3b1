"""The install job: decide, resolve, show, act, look again. Long work, split from `api` like the main job."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from envcheck import api
from envcheck.host import Host
from envcheck.install import bundle
from envcheck.install import profiles as recipes
from envcheck.install.in_place import install_in_place, open_environment
from envcheck.install.layout import Layout, open_target
from envcheck.install.planning import manual_steps, steps_for
from envcheck.install.receipt import Receipt
from envcheck.install.receipt import read as read_receipt
from envcheck.install.resolve import Target, resolve
from envcheck.install.soundness import unsound
from envcheck.install.transaction import ONLINE, Offline, install
from envcheck.judge.decide import Decided, decide
from envcheck.judge.wheels import wheel_facts
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.facts import value_of
from envcheck.schema.plan import Decision, Plan, Step
from envcheck.schema.recipe import Profile
from envcheck.schema.snapshot import Snapshot

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
    here = _current(wanted)
    earlier = here.profiles if here and not wanted.only else ()
    chosen = recipes.load((*earlier, *wanted.profiles))
    decided = decide(snapshot, chosen, wanted.pins, policy)
    receipt, is_current = None, False
    if host is not None and not decided.blocked:
        names = tuple(profile.name for profile in chosen)
        python = _minor(snapshot)
        if here is not None and not wanted.upgrade:
            is_current = (here.profiles, here.python, here.choice) == (names, python, decided.choice)
        receipt = here if is_current else _resolved(host, wanted, decided, names, python)
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
    )
    return Prepared(plan=plan, decided=decided, receipt=receipt, is_current=is_current)


def execute(host: Host, wanted: Wanted, prepared: Prepared, progress: Progress) -> Plan:
    """Carry a plan out; the result says which generation is current now. Raises EnvcheckError with nothing changed."""
    plan, receipt = prepared.plan, prepared.receipt
    if receipt is None:
        raise EnvcheckError("There is nothing to carry out: the plan was not resolved.")
    serves = {verdict for step in plan.steps for verdict in step.serves}

    def verify(python: str) -> list[str]:
        found = _damage(python) or unsound(host, python, prepared.decided, progress)
        return found or _unmet(host, python, receipt.profiles, serves)

    if prepared.is_current and wanted.target is not None:
        layout = Layout(wanted.target)
        if not _damage(str(layout.python)):
            return msgspec.structs.replace(plan, generation=layout.current_number(), outcome="done")
        progress("the environment is damaged: building it again")
    with tempfile.TemporaryDirectory(prefix="envcheck-") as work:
        lock = Path(work) / "requirements.txt"
        lock.write_text(receipt.lock, encoding="utf-8")
        if wanted.python is not None:
            place = open_environment(wanted.python)
            number = install_in_place(
                host, place, lock, profile=plan.profile, verify=verify, progress=progress, sources=wanted.sources
            )
        else:
            number = install(
                host,
                open_target(wanted.target or Path()),
                lock,
                host.target_python,
                receipt=receipt,
                verify=verify,
                progress=progress,
                sources=wanted.sources,
            )
    return msgspec.structs.replace(plan, generation=number, outcome="done")


def _as_resolved(decision: Decision, receipt: Receipt | None) -> Decision:
    """The decision with what the resolver could reach, where that is another release than the one wished for."""
    torch = next((p.version for p in receipt.packages if p.name == "torch"), None) if receipt else None
    version = torch.partition("+")[0] if torch else decision.torch
    because = (*decision.because, *(receipt.notes if receipt else ()))
    return msgspec.structs.replace(decision, torch=version, because=because)


class Bundled(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle came to."""

    files: int
    size_bytes: int
    platform: str


def make_bundle(
    snapshot: Snapshot,
    names: Sequence[str],
    folder: Path,
    *,
    here: bool,
    pins: Sequence[str] = (),
    policy: Policy | None = None,
    stamp: str,
    progress: Progress,
) -> Bundled:
    """Write a wheelhouse for a machine: this one (`here`), or one known only by its facts."""
    chosen = recipes.load(names)
    decided = decide(snapshot, chosen, pins, policy)
    if decided.blocked:
        raise EnvcheckError(f"Nothing to bundle: {decided.blocked[0].says}.")
    target = Target(python=_minor(snapshot), platform="" if here else _platform(snapshot))
    progress("resolving")
    with tempfile.TemporaryDirectory(prefix="envcheck-") as work:
        found = resolve(Host(), decided.choice, target, Path(work))
        wheels = bundle.wheels_of(found.lock, Path(work))
    receipt = Receipt(
        profiles=tuple(profile.name for profile in chosen),
        python=target.python,
        choice=decided.choice,
        packages=found.packages,
        lock=found.text,
        notes=found.notes,
    )
    manifest = bundle.Manifest(platform=target.platform, receipt=receipt)
    size = bundle.write(folder, manifest, wheels, stamp, progress)
    return Bundled(files=len(wheels), size_bytes=size, platform=target.platform)


def _platform(snapshot: Snapshot) -> str:
    """uv's name of the platform that a snapshot states. Raises InputError where it does not say enough."""
    facts = wheel_facts(snapshot)
    if facts.platform in ("linux_x86_64", "linux_aarch64") and facts.glibc:
        return f"{facts.platform.removeprefix('linux_')}-manylinux_{facts.glibc.replace('.', '_')}"
    named = {
        "windows_x86_64": "x86_64-pc-windows-msvc",
        "macos_arm64": "aarch64-apple-darwin",
        "macos_x86_64": "x86_64-apple-darwin",
    }
    if facts.platform not in named:
        raise InputError(
            "The machine's facts do not say for which system to bundle: state os, arch and, on Linux, glibc."
        )
    return named[facts.platform]


def _current(wanted: Wanted) -> Receipt | None:
    if wanted.target is None:
        return None
    layout = Layout(wanted.target)
    number = layout.current_number()
    return None if number is None else read_receipt(layout.folder(number))


def require_fitting_bundle(folder: Path, snapshot: Snapshot) -> None:
    """Refuse a bundle that was made for another Python or another system, before anything changes."""
    manifest = bundle.read(folder)
    if manifest.receipt.python != _minor(snapshot):
        raise InputError(
            f"The bundle {folder} is for Python {manifest.receipt.python}, the target has {_minor(snapshot)}: "
            "make one with --target-facts of this machine."
        )
    if manifest.platform and manifest.platform.split("-")[:2] and not _serves_platform(manifest.platform, snapshot):
        raise InputError(
            f"The bundle {folder} is for {manifest.platform}, this machine is {_platform(snapshot)}: "
            "make one with --target-facts of this machine."
        )


def _serves_platform(made_for: str, snapshot: Snapshot) -> bool:
    """A bundle for an older glibc serves a newer one of the same architecture."""
    here = _platform(snapshot)
    if made_for == here:
        return True
    there_arch, _, there_libc = made_for.partition("-manylinux_2_")
    here_arch, _, here_libc = here.partition("-manylinux_2_")
    return (
        there_arch == here_arch and there_libc.isdigit() and here_libc.isdigit() and int(there_libc) <= int(here_libc)
    )


def _resolved(host: Host, wanted: Wanted, decided: Decided, names: tuple[str, ...], python: str) -> Receipt:
    with tempfile.TemporaryDirectory(prefix="envcheck-") as work:
        found = resolve(host, decided.choice, Target(python=python), Path(work), wanted.sources)
    return Receipt(
        profiles=names,
        python=python,
        choice=decided.choice,
        packages=found.packages,
        lock=found.text,
        notes=found.notes,
    )


def _minor(snapshot: Snapshot) -> str:
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
    from envcheck.verify import verify

    found = verify(Host(target_python=python, level=1, ports=False), hashes=False).damage
    broken = [d for d in found if d.kind not in ("foreign", "no_record")]
    return [f"{d.package}: {d.count} files {d.kind}, for example {d.example}" for d in broken]
