"""From a decision to a lock: one that envcheck ships where it fits, else what the resolver finds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from envcheck.host import Host
from envcheck.install import shipped
from envcheck.install.receipt import Receipt
from envcheck.install.resolve import Resolved, Target, UnresolvableError, resolve
from envcheck.install.transaction import ONLINE, Offline
from envcheck.install.uv import UnreachableError
from envcheck.judge import versions
from envcheck.judge.decide import Decided
from envcheck.judge.policy import Policy
from envcheck.judge.wheels import wheel_facts
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import value_of
from envcheck.schema.plan import Blocked, PlannedPackage
from envcheck.schema.recipe import Profile
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Remedy


def resolved(
    host: Host, decided: Decided, names: tuple[str, ...], target: Target, work: Path, sources: Offline = ONLINE
) -> tuple[Resolved, Receipt]:
    """The lock for a decision, and the receipt of an environment made from it.

    Where a package of the decision has an index of its own and that does not give it, the lock is for what the default
    index has instead, and says so.
    """
    instead, choice = decided.instead, decided.choice
    try:
        found = resolve(host, choice, target, work, sources, patient=instead is None)
    except (UnreachableError, UnresolvableError) as error:
        if instead is None:
            raise
        try:
            found = resolve(host, instead.choice, target, work, sources)
        except EnvcheckError:
            raise error from None
        choice = instead.choice
        said = f"{_missed(decided, error, sources)}: {decided.trade}"
        found = msgspec.structs.replace(found, notes=(*found.notes, said), warnings=(said, *found.warnings))
    receipt = Receipt(
        profiles=names,
        python=target.python,
        choice=choice,
        packages=found.packages,
        lock=found.text,
        notes=found.notes,
        torch_backend=found.torch_backend,
        indexes=found.indexes,
    )
    return found, receipt


def _missed(decided: Decided, error: EnvcheckError, sources: Offline) -> str:
    """Why what was decided on is not taken."""
    own = " and ".join(f"{one.package} of {one.url}" for one in decided.choice.indexes)
    if sources:
        return f"{own} is not in the wheelhouse"
    if isinstance(error, UnreachableError):
        return f"{own} cannot be reached from here"
    return f"{own} does not resolve ({error})"


def from_shipped(snapshot: Snapshot, decided: Decided, chosen: Sequence[Profile]) -> Receipt | None:
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


def forbidden(receipt: Receipt, policy: Policy | None) -> Blocked | None:
    """Why a lock is not to be installed: it holds a package that the project forbids."""
    banned = {re.sub(r"[-_.]+", "-", name).lower() for name in (policy.forbidden if policy else ())}
    found = sorted(banned & {package.name for package in receipt.packages})
    if not found:
        return None
    titles = " + ".join(receipt.profiles)
    says = f"the versions chosen for {titles} bring {found[0]}, which envcheck.toml forbids"
    return Blocked(says=says, remedy=Remedy(says=f"Take {found[0]} off the list, or leave this profile out."))
