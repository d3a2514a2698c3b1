"""Environment variables that are set and that the judged version of a backend ignores or is about to."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge import tables, versions
from envcheck.judge.scene import Scene
from envcheck.schema.facts import Observation, value_of
from envcheck.schema.tables import VariableRow
from envcheck.schema.verdict import Remedy, Verdict


def _acts(row: VariableRow, scene: Scene) -> bool:
    """Whether the row is about the version at hand: the backend's, or that of the package that reads the variable."""
    if not row.versions:
        return True
    version = value_of(scene.snapshot.python.package(row.reader)) if row.reader else scene.version
    return version is not None and versions.within(version, row.versions) is True


def variable_verdicts(scene: Scene) -> Iterator[Verdict]:
    """One warning per such variable, in alphabetical order."""
    environment = value_of(scene.snapshot.environment) or {}
    for name, value in sorted(environment.items()):
        for row in tables.variable_rows(name, value, scene.backend.name):
            if row.effect == "works" or not _acts(row, scene):
                continue
            yield Verdict(
                id=f"{scene.backend.name}.variable.{name.lower()}",
                backend=scene.backend.name,
                title=name,
                status="warning",
                severity="warning",
                link="backend",
                says=row.says,
                expected="not set" if row.effect == "none" else "its replacement",
                actual=f"{name}={value}",
                evidence=(Observation(source="environment", value=f"{name}={value}"),),
                source=row.source,
                checked=row.checked,
                remedy=Remedy(says=row.instead) if row.instead else None,
            )
            break
