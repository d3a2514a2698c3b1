"""Facts about the host and the Python environment that take more than a field: libc, macOS, damaged packages.

`facts_of.VOCABULARY` names them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from envcheck.judge import tables
from envcheck.judge.damaged import MOST_NAMED, arguments, pins
from envcheck.judge.operators import AnyFact
from envcheck.judge.scene import Scene
from envcheck.schema.facts import Absent, Known, Unknown, text_of, value_of
from envcheck.schema.snapshot import DamageKind

Reader = Callable[[Scene], AnyFact]

_MACOS = re.compile(r"mac ?os (?:x )?(\d{1,2}(?:\.\d{1,2}){0,2})", re.IGNORECASE)


def libc(scene: Scene) -> AnyFact:
    """Which C library: as it was read, else that of the distribution (the table lists those with glibc)."""
    said, release = scene.snapshot.os.libc, glibc(scene)
    if isinstance(said, Unknown) and isinstance(release, Known):
        return Known(value="glibc", source=release.source)
    return said


def glibc(scene: Scene) -> AnyFact:
    """The C library as read, else as the table knows it for the distribution; musl has none."""
    os = scene.snapshot.os
    if isinstance(os.glibc, Known):
        return os.glibc
    if value_of(os.libc) == "musl":
        return Absent(source="musl is the C library")
    listed = tables.glibc_of(os.distro.value) if isinstance(os.distro, Known) else None
    return Known(value=listed, source=f"table of distributions, {text_of(os.distro)}") if listed else os.glibc


def macos(scene: Scene) -> AnyFact:
    """The release of macOS, out of the system's name ("macos 14.5")."""
    named = scene.snapshot.os.distro
    if not isinstance(named, Known):
        return named
    said = _MACOS.search(named.value)
    return Known(value=said.group(1), source=named.source) if said else Unknown(why="no release of macOS in the name")


def environment(scene: Scene) -> AnyFact:
    return scene.snapshot.python.environment


def damaged(kind: DamageKind) -> Reader:
    """Packages with this kind of damage, "name (example)"."""

    def of(scene: Scene) -> AnyFact:
        damage = scene.snapshot.python.damage
        if not isinstance(damage, Known):
            return damage
        named = [f"{each.package} ({each.example})" for each in damage.value if each.kind == kind]
        return (
            Known(value=", ".join(named[:MOST_NAMED]), source=damage.source) if named else Absent(source=damage.source)
        )

    return of


def sound_pins(kind: DamageKind, versions: bool = True) -> Reader:
    """Packages with this kind of damage as NAME==VERSION (or NAME), for commands."""

    def of(scene: Scene) -> AnyFact:
        damage = scene.snapshot.python.damage
        if not isinstance(damage, Known):
            return damage
        names = {each.package for each in damage.value if each.kind == kind}
        packages = scene.snapshot.python.packages
        plain = pins(names, packages.value if isinstance(packages, Known) else ())[:MOST_NAMED]
        said = arguments(plain) if versions else " ".join(pin.partition("==")[0] for pin in plain)
        return Known(value=said, source=damage.source) if said else Absent(source=damage.source)

    return of
