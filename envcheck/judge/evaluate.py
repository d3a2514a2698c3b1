"""Snapshot + intent + matrix → verdicts in chain order, the state of each backend, and what to do first."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import Literal

from envcheck.judge import policy as rules_of_project
from envcheck.judge import rows, versions
from envcheck.judge.facts_of import Scene
from envcheck.judge.operators import AnyFact, Outcome, PerGpu, compare, describe
from envcheck.judge.policy import Policy
from envcheck.schema.facts import Absent, Known, Observation, Unknown, text_of, value_of
from envcheck.schema.requirement import Backend, BackendMatrix, Condition, Release, Requirement
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import CHAIN, BackendState, Intent, Judgement, Remedy, Status, Verdict

_HOLE = re.compile(r"\{([a-z_]+(?:\.[\w.-]+)?)\}")
MACHINE = "machine"


def evaluate(
    snapshot: Snapshot,
    intent: Intent,
    backends: Sequence[str] | None = None,
    policy: Policy | None = None,
    *,
    today: str | None = None,
) -> Judgement:
    """Judge one machine for the named backends (default: the one intended, else all of the matrix).

    `today` is the ISO date that waivers expire against (default: the clock). Raises EnvcheckError for a broken matrix.
    """
    names = list(backends) if backends else [intent.backend] if intent.backend else rows.backend_names()
    machine = judge_machine(snapshot, intent)
    verdicts = list(machine)
    states: dict[str, BackendState] = {}
    for name in names:
        states[name], found = judge_backend(rows.backend(name), snapshot, intent, machine)
        verdicts += found
    if policy is not None:
        verdicts = rules_of_project.apply(policy, snapshot, verdicts, today or time.strftime("%Y-%m-%d"))
    ordered = tuple(sorted(verdicts, key=lambda v: (CHAIN.index(v.link), v.backend != MACHINE)))
    return Judgement(worst=worst(ordered), backends=states, verdicts=ordered)


def worst(verdicts: Iterable[Verdict]) -> Literal["met", "warning", "not_met", "unknown"]:
    """One word for a set of verdicts: an unmet blocker, else a blocker nobody could judge, else any warning."""
    blockers = {v.status for v in verdicts if v.severity == "blocker"}
    if "not_met" in blockers:
        return "not_met"
    if "unknown" in blockers:
        return "unknown"
    told = {v.status for v in verdicts if v.severity != "info"}
    return "warning" if told & {"warning", "not_met"} else "met"


# --- machine and backends --------------------------------------------------------------------------------------------


def judge_machine(snapshot: Snapshot, intent: Intent) -> tuple[Verdict, ...]:
    """What concerns every backend: that the driver of the GPU at hand is usable."""
    matrix = rows.load("machine", BackendMatrix)
    scene = Scene(snapshot, intent, matrix.backend, Absent(source="not a program"), None)
    return tuple(judge_rows(matrix.requirement, scene, ()))


def judge_backend(
    matrix: BackendMatrix, snapshot: Snapshot, intent: Intent, machine: tuple[Verdict, ...]
) -> tuple[BackendState, list[Verdict]]:
    """The verdicts on the installed version, else on the newest release, and what they mean for the backend."""
    installed = installed_version(matrix.backend, snapshot)
    release = release_of(matrix, value_of(installed))
    scene = Scene(snapshot, intent, matrix.backend, installed, release)
    verdicts = list(judge_rows(matrix.requirement, scene, machine))
    verdicts += rules_of_project.variable_verdicts(scene)
    older = None
    if _blocks(verdicts):
        older = newest_that_runs(matrix, snapshot, intent, machine)
        if older is not None and release is not None and older.version != release.version:
            verdicts.append(_older_release(matrix, release, older, installed))
        else:
            older = None
    return _state(matrix, scene, verdicts, machine, older), verdicts


def installed_version(backend: Backend, snapshot: Snapshot) -> AnyFact:
    """The version of a backend on this machine: from the target's packages or from the program that was found."""
    facts: list[AnyFact] = [snapshot.python.package(name) for name in backend.packages]
    presence = snapshot.backend(backend.name) or snapshot.backend(rows.file_stem(backend.name))
    if presence is not None:
        facts += [presence.server, presence.binary]
    elif backend.kind == "program":
        facts.append(Unknown(why=f"nobody looked for {backend.title}"))
    known = [fact for fact in facts if isinstance(fact, Known)]
    unknown = [fact for fact in facts if isinstance(fact, Unknown)]
    return known[0] if known else unknown[0] if unknown else Absent(source=facts[0].source if facts else "")  # type: ignore[union-attr]


def release_of(matrix: BackendMatrix, version: str | None) -> Release | None:
    """The row of an installed version, or the one just below it; the newest release without a version."""
    if version is None or versions.key(version) is None:
        return matrix.release[0] if matrix.release else None
    listed = (row for row in matrix.release if versions.at_least(versions.base(version), row.version))
    return next(listed, matrix.release[-1] if matrix.release else None)


def newest_that_runs(
    matrix: BackendMatrix, snapshot: Snapshot, intent: Intent, machine: tuple[Verdict, ...]
) -> Release | None:
    """The newest listed release that nothing known speaks against on this machine; None where every one is blocked."""
    for release in matrix.release:
        scene = Scene(snapshot, intent, matrix.backend, Absent(source="looking at a release"), release)
        if not _blocks(judge_rows(matrix.requirement, scene, machine)):
            return release
    return None


def _older_release(matrix: BackendMatrix, newest: Release, older: Release, installed: AnyFact) -> Verdict:
    """The verdict that names the way out: another release runs here."""
    package = matrix.backend.packages[0]
    have = f"{value_of(installed)} is installed" if isinstance(installed, Known) else f"{newest.version} is the newest"
    return Verdict(
        id=f"{matrix.backend.name}.backend.release",
        backend=matrix.backend.name,
        title="Release that runs here",
        status="warning",
        severity="warning",
        link="backend",
        says=f"{have} and does not run here; {matrix.backend.title} {older.version} is the newest that does.",
        expected=newest.version,
        actual=older.version,
        evidence=(Observation(source=older.source, value=f"{package} {older.version}: torch {older.torch or 'any'}"),),
        source=older.source,
        checked=older.checked,
        remedy=Remedy(
            says=f"Install {matrix.backend.title} {older.version} in an environment of its own.",
            commands=(f'pip install "{package}=={older.version}"',),
        ),
    )


def _blocks(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Unmet blockers that installing packages does not cure, and that leave nothing working."""
    return [v for v in verdicts if v.status == "not_met" and v.severity == "blocker" and not v.fixed_by_install]


def _state(
    matrix: BackendMatrix, scene: Scene, own: list[Verdict], machine: tuple[Verdict, ...], older: Release | None
) -> BackendState:
    """Fold a backend's verdicts into one word and one sentence."""
    needed = {required for v in own for required in v.requires} | {v.skipped_because for v in own}
    chain = sorted([*(v for v in machine if v.id in needed), *own], key=lambda v: CHAIN.index(v.link))
    limits = {row.id: row.limits for row in matrix.requirement if row.limits}
    broken = [v for v in chain if v.status == "not_met" and v.severity == "blocker"]
    first = broken[0].id if broken else None
    hard = [v for v in broken if not v.fixed_by_install and v.id not in limits]
    unknown = [v for v in chain if v.status == "unknown" and v.severity == "blocker"]
    limited = [v for v in chain if v.id in limits and v.status in ("not_met", "warning")]
    title = matrix.backend.title
    if hard and older is not None:
        why = f"{hard[0].says} {title} {older.version} is the newest release that runs here."
        return BackendState(status="limited", why=why, first_broken=first)
    if hard:
        return BackendState(status="blocked", why=hard[0].says, first_broken=first)
    missing = [v for v in broken if v.fixed_by_install]
    if limited:
        after = f" Not installed yet: {', '.join(v.title for v in missing)}." if missing else ""
        says = _fill(limits[limited[0].id], scene, None)
        return BackendState(status="limited", why=f"{says}{after}", first_broken=first or limited[0].id)
    if unknown:
        return BackendState(status="unknown", why=unknown[0].says, first_broken=unknown[0].id)
    if missing:
        return BackendState(status="ready_after_install", why=missing[0].says, first_broken=first)
    version = value_of(scene.installed)
    return BackendState(
        status="ready", why=f"{title} {version} can run on this machine." if version else f"{title} can run."
    )


# --- rows ------------------------------------------------------------------------------------------------------------


def judge_rows(requirements: Sequence[Requirement], scene: Scene, before: tuple[Verdict, ...]) -> Iterable[Verdict]:
    """Judge rows in chain order; a row whose prerequisite is broken is skipped and says because of which."""
    done = {v.id: v for v in before}
    for row in sorted(requirements, key=lambda r: CHAIN.index(r.link)):
        if not _in_range(row, scene) or (row.to_install and isinstance(scene.installed, Known)):
            continue
        applies, why = _applies(row, scene)
        if applies is False:
            continue
        verdict = _skipped(row, scene, done) or judge_row(row, scene, None if applies else why)
        done[verdict.id] = verdict
        yield verdict


def _in_range(row: Requirement, scene: Scene) -> bool:
    if not row.versions:
        return True
    version = scene.version
    return version is not None and versions.within(version, row.versions) is True


def _applies(row: Requirement, scene: Scene) -> tuple[bool | None, str]:
    outcomes = [_outcome(condition, scene) for condition in row.when]
    if any(outcome.holds is False for outcome in outcomes):
        return False, ""
    return (None, why) if (why := next((o.why for o in outcomes if o.holds is None), "")) else (True, "")


def _outcome(condition: Condition | Requirement, scene: Scene) -> Outcome:
    value = condition.value
    if condition.value_of is not None:
        given = scene.fact(condition.value_of)
        if not isinstance(given, Known):
            # Nothing to compare with: a release without a floor has none, an unread one cannot be judged.
            why = given.why if isinstance(given, Unknown) else ""
            holds = None if isinstance(given, Unknown) else True
            return Outcome(
                holds=holds, expected="no floor" if holds else "unknown", actual=_show(condition, scene), why=why
            )
        value = given.value
    if condition.op in ("exists", "absent"):
        value = None
    return compare(condition.op, scene.fact(condition.fact), value, condition.across)


def _show(condition: Condition | Requirement, scene: Scene) -> str:
    fact = scene.fact(condition.fact)
    return ", ".join(text_of(f) for _, f in fact.items) if isinstance(fact, PerGpu) else text_of(fact)


def _skipped(row: Requirement, scene: Scene, done: dict[str, Verdict]) -> Verdict | None:
    for required in row.requires:
        base = done.get(required)
        if base is not None and base.status in ("not_met", "skipped") and base.severity == "blocker":
            cause = base.skipped_because or base.id
            says = f"{row.title} was not judged because {cause} is not met."
            return _verdict(row, scene, "skipped", says, expected=describe(row.op, row.value), skipped_because=cause)
    return None


def judge_row(row: Requirement, scene: Scene, unsure: str | None) -> Verdict:
    """The verdict of one row; `unsure` says why it could not even be told whether the row applies."""
    outcome = _outcome(row, scene)
    if unsure and outcome.holds is not True:
        outcome = Outcome(holds=None, expected=outcome.expected, actual=outcome.actual, why=unsure)
    if outcome.holds is None:
        says = f"{row.title} could not be judged: {outcome.why or 'a needed fact is missing'}."
        return _verdict(row, scene, "unknown", says, expected=outcome.expected, actual=outcome.actual)
    if not outcome.holds:
        status: Status = (
            "not_met" if row.severity == "blocker" else "warning" if row.severity == "warning" else "not_met"
        )
        return _verdict(
            row,
            scene,
            status,
            _fill(row.says, scene, outcome),
            remedy=_remedy(row, scene, outcome),
            expected=outcome.expected,
            actual=outcome.actual,
        )
    if outcome.failing:
        says = (
            f"{row.title}: {', '.join(outcome.passing)} will do, {', '.join(outcome.failing)} will not "
            f"({outcome.expected} is needed)."
        )
        return _verdict(
            row, scene, "warning", says, remedy=_only(outcome), expected=outcome.expected, actual=outcome.actual
        )
    met = row.met or "{actual} meets {expected}." if row.op not in ("exists", "absent") else row.met or "{actual}."
    return _verdict(row, scene, "met", _fill(met, scene, outcome), expected=outcome.expected, actual=outcome.actual)


def _only(outcome: Outcome) -> Remedy:
    """Hide the GPUs that cannot take part."""
    numbers = [label.split()[1] for label in outcome.passing]
    chosen = ",".join(numbers)
    return Remedy(
        says=f"Let the backend see only GPU {', '.join(numbers)}.",
        commands=(f"export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={chosen}",),
    )


def _verdict(
    row: Requirement,
    scene: Scene,
    status: Status,
    says: str,
    *,
    expected: str,
    actual: str = "",
    remedy: Remedy | None = None,
    skipped_because: str | None = None,
) -> Verdict:
    fact = scene.fact(row.fact)
    evidence = [Observation(source=source, value=f"{row.fact} = {text}") for source, text in _sources(fact)]
    return Verdict(
        id=row.id,
        backend=scene.backend.name,
        title=row.title,
        status=status,
        severity=row.severity,
        says=says,
        link=row.link,
        cause=row.cause if status in ("not_met", "warning") else None,
        expected=expected,
        actual=actual,
        evidence=tuple(evidence),
        source=row.source,
        checked=row.checked,
        remedy=remedy,
        requires=row.requires,
        skipped_because=skipped_because,
        fixed_by_install=row.fixed_by_install,
    )


def _sources(fact: AnyFact | PerGpu) -> Iterable[tuple[str, str]]:
    facts = fact.items if isinstance(fact, PerGpu) else (("", fact),)
    for label, one in facts:
        if not isinstance(one, Unknown):
            yield one.source, f"{label} {text_of(one)}".strip()


def _remedy(row: Requirement, scene: Scene, outcome: Outcome) -> Remedy | None:
    if row.remedy is None:
        return None
    return Remedy(
        says=_fill(row.remedy.says, scene, outcome),
        commands=tuple(_fill(command, scene, outcome) for command in row.remedy.commands),
        risk=row.remedy.risk,
        needs_root=row.remedy.needs_root,
    )


def _fill(template: str, scene: Scene, outcome: Outcome | None) -> str:
    """Put facts into a template's braces; what nobody knows reads "unknown"."""

    def value(match: re.Match[str]) -> str:
        path = match[1]
        if path == "expected":
            return outcome.expected if outcome else ""
        if path == "actual":
            return outcome.actual if outcome else ""
        fact = scene.fact(path)
        if isinstance(fact, PerGpu):
            return ", ".join(text_of(one) for _, one in fact.items)
        return str(fact.value) if isinstance(fact, Known) else "none" if isinstance(fact, Absent) else "unknown"

    return _HOLE.sub(value, template)
