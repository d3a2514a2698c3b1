"""Snapshot + intent + matrix → verdicts in chain order, the state of each backend, and what to do first."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Literal

import msgspec

from envcheck.judge import rows, versions
from envcheck.judge.causes import cause_verdicts
from envcheck.judge.damaged import damage_verdicts
from envcheck.judge.operators import AnyFact
from envcheck.judge.policy import (
    Policy,
    newest_that_keeps_pins,
    project_verdicts,
    release_conflicts,
    unused_waivers,
    waive,
)
from envcheck.judge.readiness import blocking, state_of
from envcheck.judge.row_verdicts import judge_rows
from envcheck.judge.scene import Scene
from envcheck.judge.variables import variable_verdicts
from envcheck.judge.ways_out import choices, release_verdict, with_label, with_ways_out
from envcheck.judge.wheels import accelerator
from envcheck.schema.facts import Absent, Known, Unknown, value_of
from envcheck.schema.requirement import Backend, BackendMatrix, Release
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import CHAIN, BackendState, Intent, Judgement, Remedy, Verdict

MACHINE = "machine"
STALE_AFTER_DAYS = 180


def evaluate(
    snapshot: Snapshot,
    intent: Intent,
    backends: Sequence[str] | None = None,
    policy: Policy | None = None,
    *,
    today: str | None = None,
) -> Judgement:
    """Judge one machine for the named backends (default: the one intended, else all of the matrix).

    `today` is the ISO date that waivers expire against (default: the clock). Raises EnvcheckError for a broken matrix
    and InputError for a backend it does not know.
    """
    wanted = list(backends or ()) or ([intent.backend] if intent.backend else rows.backend_names())
    names = dict.fromkeys(rows.backend(name).backend.name for name in wanted)
    project = policy or Policy()
    day = today or time.strftime("%Y-%m-%d")
    matrices = [rows.backend(name) for name in names]
    machine = waive([*judge_machine(snapshot, intent), *cause_verdicts(snapshot, intent)], project, day)
    verdicts = [*machine, *waive(project_verdicts(project, snapshot), project, day)]
    states: dict[str, BackendState] = {}
    for matrix in matrices:
        own, states[matrix.backend.name] = _judge_backend(matrix, snapshot, intent, machine, project, day)
        verdicts += own
    verdicts += [*unused_waivers(project, verdicts), *stale_rows(verdicts, day)]
    known = _with_known_requirements(verdicts)
    ordered = tuple(sorted(known, key=lambda v: (CHAIN.index(v.link), v.backend != MACHINE)))
    ranked = tuple(with_ways_out(v) if v.remedy is not None else v for v in ordered)
    return Judgement(worst=worst(ranked), backends=states, verdicts=ranked)


def _judge_backend(
    matrix: BackendMatrix, snapshot: Snapshot, intent: Intent, machine: Sequence[Verdict], project: Policy, day: str
) -> tuple[list[Verdict], BackendState]:
    """The verdicts of one backend, with another release as the way out where one runs here, and its state."""
    scene = scene_of(matrix, snapshot, intent)
    own = waive(_found(matrix, scene, machine, project), project, day)
    if not any(blocking(own)):
        return own, state_of(matrix, scene, own, machine, None)
    older = newest_that_runs(matrix, snapshot, intent, machine, project, labelled=True)
    if older is not None:
        own = _with_way_out(own, release_verdict(scene, older))
    elif not isinstance(scene.installed, Known):
        free = newest_that_runs(matrix, snapshot, intent, machine, labelled=True)
        if free is not None:  # only the project's policy stands in the way: that is what is to be said
            scene = Scene(snapshot, intent, matrix.backend, scene.installed, free)
            own = waive(
                _with_closest(matrix, _found(matrix, scene, machine, project), scene, machine, project), project, day
            )
    return own, state_of(matrix, scene, own, machine, older)


def _found(matrix: BackendMatrix, scene: Scene, machine: Sequence[Verdict], project: Policy) -> list[Verdict]:
    found = [*judge_rows(matrix.requirement, scene, machine), *damage_verdicts(scene), *variable_verdicts(scene)]
    if not isinstance(scene.installed, Known):
        found += release_conflicts(project, matrix.backend, scene.release)
    return found


def _with_closest(
    matrix: BackendMatrix, found: list[Verdict], scene: Scene, machine: Sequence[Verdict], project: Policy
) -> list[Verdict]:
    """Where pins stand in the way, say of the newest release that keeps them what is wrong with it."""
    backend = matrix.backend
    closest = newest_that_keeps_pins(project, backend, matrix.release)
    if closest is None or closest == scene.release:
        return found
    own = Scene(scene.snapshot, scene.intent, backend, Absent(source="looking at a release"), closest)
    blockers = [row for row in matrix.requirement if row.severity == "blocker"]
    reasons = [
        *release_conflicts(project, backend, closest),
        *blocking(judge_rows(blockers, own, machine)),
    ]
    if not reasons:
        return found
    says = f"The newest that keeps the pins is no way out: {reasons[0].says}"
    moved = {verdict.id for verdict in release_conflicts(project, backend, scene.release)}
    return [msgspec.structs.replace(v, says=f"{v.says} {says}") if v.id in moved else v for v in found]


def _with_known_requirements(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts that name only prerequisites that were judged: a row for another operating system or vendor was not."""
    known = {verdict.id for verdict in verdicts}
    return [
        verdict
        if known.issuperset(verdict.requires)
        else msgspec.structs.replace(verdict, requires=tuple(name for name in verdict.requires if name in known))
        for verdict in verdicts
    ]


def stale_rows(verdicts: Sequence[Verdict], today: str) -> list[Verdict]:
    """One remark where verdicts rest on rows that nobody has compared with their sources for too long."""
    limit = (date.fromisoformat(today) - timedelta(days=STALE_AFTER_DAYS)).isoformat()
    old = sorted((v for v in verdicts if v.checked and v.checked < limit), key=lambda v: v.checked)
    if not old:
        return []
    return [
        Verdict(
            id="machine.matrix.age",
            backend=MACHINE,
            title="Age of the requirements",
            status="warning",
            severity="info",
            says=f"{len(old)} verdicts rest on facts last compared with their source more than {STALE_AFTER_DAYS} days "
            f"ago, the oldest on {old[0].checked}: a newer envcheck may know better.",
            expected=f"checked since {limit}",
            actual=old[0].checked,
            source=old[0].source,
            checked=old[0].checked,
            remedy=Remedy(says="Update envcheck.", commands=("pip install --upgrade llm-envcheck",)),
        )
    ]


def worst(verdicts: Iterable[Verdict]) -> Literal["met", "warning", "not_met", "unknown"]:
    """One word for a set of verdicts: an unmet blocker, else a blocker nobody could judge, else any warning."""
    told = [v for v in verdicts if v.severity != "info"]
    blockers = {v.status for v in told if v.severity == "blocker"}
    if "not_met" in blockers:
        return "not_met"
    if "unknown" in blockers:
        return "unknown"
    return "warning" if {v.status for v in told} & {"warning", "not_met"} else "met"


def judge_machine(snapshot: Snapshot, intent: Intent) -> list[Verdict]:
    """What concerns every backend: that the driver of the GPU at hand is usable."""
    matrix = rows.load(MACHINE, BackendMatrix)
    scene = Scene(snapshot, intent, matrix.backend, Absent(source="not a program"), None)
    return list(judge_rows(matrix.requirement, scene, ()))


def scene_of(matrix: BackendMatrix, snapshot: Snapshot, intent: Intent) -> Scene:
    """What the rows of a backend are judged against: its installed version, else its newest release."""
    installed = installed_version(matrix.backend, snapshot)
    return Scene(snapshot, intent, matrix.backend, installed, release_of(matrix, value_of(installed)))


def installed_version(backend: Backend, snapshot: Snapshot) -> AnyFact:
    """The version of a backend on this machine: from the target's packages or from the program that was found."""
    facts: list[AnyFact] = [snapshot.python.package(name) for name in backend.packages]
    presence = snapshot.backend(backend.name) or snapshot.backend(rows.file_stem(backend.name))
    if presence is not None:
        facts += [presence.server, presence.binary]
    elif backend.kind == "program":
        facts.append(Unknown(why=f"nobody looked for {backend.title}"))
    for wanted in (Known, Unknown, Absent):
        for fact in facts:
            if isinstance(fact, wanted):
                return fact
    return Unknown(why=f"nobody looked for {backend.title}")


def release_of(matrix: BackendMatrix, version: str | None) -> Release | None:
    """The row of an installed version, or the one just below it; the newest release without a version."""
    if version is None or versions.key(version) is None:
        return matrix.release[0] if matrix.release else None
    listed = (row for row in matrix.release if versions.at_least(versions.base(version), row.version))
    row = next(listed, matrix.release[-1] if matrix.release else None)
    return (with_label(row, versions.local(version)) or row) if row else None


def newest_that_runs(
    matrix: BackendMatrix,
    snapshot: Snapshot,
    intent: Intent,
    machine: Sequence[Verdict] = (),
    policy: Policy | None = None,
    *,
    labelled: bool = False,
) -> Release | None:
    """The newest listed release that nothing known speaks against on this machine; None where every one is blocked.

    `labelled` also considers wheels that lie beside the default one in an index of their own ("0.31.0+cu129").
    """
    on_cpu = accelerator(snapshot) == "cpu"
    listed = choices(matrix.backend, matrix.release, on_cpu) if labelled else matrix.release
    return next((r for r in listed if not any(against(matrix, r, snapshot, intent, machine, policy))), None)


def against(
    matrix: BackendMatrix,
    release: Release,
    snapshot: Snapshot,
    intent: Intent,
    machine: Sequence[Verdict] = (),
    policy: Policy | None = None,
) -> Iterator[Verdict]:
    """What speaks against a release on this machine, put into an environment of its own; the project's wishes first."""
    blockers = [row for row in matrix.requirement if row.severity == "blocker"]
    scene = Scene(_empty(snapshot), intent, matrix.backend, Absent(source="looking at a release"), release)
    yield from release_conflicts(policy or Policy(), matrix.backend, release)
    yield from blocking(judge_rows(blockers, scene, machine))


def _empty(snapshot: Snapshot) -> Snapshot:
    """The machine with nothing in the environment, where nobody knows what is: a new one holds nothing yet."""
    if not isinstance(snapshot.python.packages, Unknown):
        return snapshot
    nothing = msgspec.structs.replace(snapshot.python, packages=Known(value=(), source="an environment of its own"))
    return msgspec.structs.replace(snapshot, python=nothing)


def _with_way_out(own: list[Verdict], release: Verdict) -> list[Verdict]:
    """Add the release that runs here, also as a way out of what blocks the one that was judged."""
    cured = {verdict.id for verdict in blocking(own)}
    return [*(with_ways_out(v, release.ways_out) if v.id in cured else v for v in own), release]
