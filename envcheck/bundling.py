"""The bundle job: decide and resolve for a machine, write its wheelhouse; and whether a wheelhouse is for this one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from envcheck.host import Host
from envcheck.install import bundle
from envcheck.install import profiles as recipes
from envcheck.install.resolve import Target, UnresolvableError
from envcheck.judge.decide import decide
from envcheck.judge.wheels import wheel_facts
from envcheck.locking import forbidden, minor, resolved
from envcheck.schema.errors import InputError, UnmetError
from envcheck.schema.facts import value_of
from envcheck.schema.snapshot import Snapshot

if TYPE_CHECKING:
    from envcheck.judge.policy import Policy

Progress = Callable[[str], None]


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
        first = decided.blocked[0]
        way = f" {first.remedy.says}" if first.remedy else ""
        raise UnmetError(f"Nothing was bundled: {first.says}.{way}")
    if not here and value_of(snapshot.python.version) is None:
        raise InputError("The machine's facts do not say for which Python to bundle: state python, such as 3.12.")
    target = Target(python=minor(snapshot), platform="" if here else _platform(snapshot))
    progress("resolving")
    with tempfile.TemporaryDirectory(prefix="envcheck-") as work:
        names = tuple(profile.name for profile in chosen)
        try:
            found, receipt = resolved(Host(), decided, names, target, Path(work))
        except UnresolvableError as error:
            raise UnmetError(f"Nothing was bundled: no version works: {error}") from None
        if banned := forbidden(receipt, policy):
            raise UnmetError(f"Nothing was bundled: {banned.says}.")
        for note in found.notes:
            progress(note)
        wheels = bundle.wheels_of(found.lock, Path(work))
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


def require_fitting_bundle(folder: Path, snapshot: Snapshot) -> None:
    """Refuse a bundle that was made for another Python or another system, before anything changes."""
    manifest = bundle.read(folder)
    if manifest.receipt.python != minor(snapshot):
        raise InputError(
            f"The bundle {folder} is for Python {manifest.receipt.python}, the target has {minor(snapshot)}: "
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
