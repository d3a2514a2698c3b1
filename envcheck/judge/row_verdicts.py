"""Rows against a scene: each applicable row becomes one verdict, in chain order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from envcheck.judge import versions
from envcheck.judge.facts_of import fact_of
from envcheck.judge.operators import AnyFact, Outcome, PerGpu, compare
from envcheck.judge.scene import Scene
from envcheck.judge.ways_out import ranked
from envcheck.schema.describe import gib
from envcheck.schema.facts import Absent, Known, Observation, Unknown, text_of
from envcheck.schema.requirement import Condition, Requirement
from envcheck.schema.verdict import CHAIN, Remedy, Status, Verdict

HOLE = re.compile(r"\{([a-z_]+(?:\.[\w.-]+)?)\}")
"""A fact path in braces inside a template."""
OWN_HOLES = frozenset(("expected", "actual"))


def judge_rows(requirements: Sequence[Requirement], scene: Scene, before: Sequence[Verdict]) -> Iterator[Verdict]:
    """Judge rows in chain order; a row whose prerequisite is broken is skipped and says because of which."""
    done = {verdict.id: verdict for verdict in before}
    for row in sorted(requirements, key=lambda r: CHAIN.index(r.link)):
        if not in_range(row, scene) or (row.to_install and isinstance(scene.installed, Known)):
            continue
        applies, why = _applies(row, scene)
        if applies is False or _has_nothing_to_say(row, scene):
            continue
        if applies is None and (row.severity != "blocker" or _about_installed(row, scene)):
            # What is wrong with something that may not even be there is nothing to say yet.
            continue
        verdict = _skipped(row, scene, done) or judge_row(row, scene, None if applies else why)
        done[verdict.id] = verdict
        yield verdict


def in_range(row: Requirement, scene: Scene) -> bool:
    """Whether the row holds for the version judged; a backend without a known version gets the rows of its newest."""
    if not row.versions:
        return True
    if scene.version is None:
        return not any(operator in ("<", "<=") for operator, _ in versions.clauses(row.versions) or ())
    return versions.within(scene.version, row.versions) is True


def _applies(row: Requirement, scene: Scene) -> tuple[bool | None, str]:
    outcomes = [_outcome(condition, scene) for condition in row.when]
    if any(outcome.holds is False for outcome in outcomes):
        return False, ""
    unsure = next((outcome for outcome in outcomes if outcome.holds is None), None)
    return (None, unsure.why or "a needed fact is missing") if unsure else (True, "")


def _about_installed(row: Requirement, scene: Scene) -> bool:
    """Whether it is unknown if the row applies because nobody listed what is installed: an install settles that."""
    unsure = (condition for condition in row.when if _outcome(condition, scene).holds is None)
    return any(c.op != "absent" and c.fact.startswith(("torch.", "packages.", "backend.")) for c in unsure)


def _has_nothing_to_say(row: Requirement, scene: Scene) -> bool:
    """A row whose expectation is itself a fact that is absent ("this release names no glibc floor")."""
    return row.value_of is not None and isinstance(fact_of(row.value_of, scene), Absent)


def _outcome(condition: Condition | Requirement, scene: Scene) -> Outcome:
    fact, value = fact_of(condition.fact, scene), condition.value
    if condition.value_of is not None:
        given = fact_of(condition.value_of, scene)
        if not isinstance(given, Known):
            why = given.why if isinstance(given, Unknown) else f"{condition.value_of} is not there"
            return Outcome(holds=None, expected="unknown", actual=_show(fact), why=why)
        value = given.value
    return compare(condition.op, fact, value, condition.across)


def _show(fact: AnyFact | PerGpu) -> str:
    return ", ".join(text_of(one) for _, one in fact.items) if isinstance(fact, PerGpu) else text_of(fact)


def _skipped(row: Requirement, scene: Scene, done: dict[str, Verdict]) -> Verdict | None:
    for required in row.requires:
        base = done.get(required)
        if base is not None and base.status in ("not_met", "skipped") and base.severity == "blocker":
            cause = base.skipped_because or base.id
            outcome = _outcome(row, scene)
            says = f"{row.title} was not judged because {cause} is not met."
            return verdict_of(row, scene, "skipped", says, outcome, because=cause)
    return None


def judge_row(row: Requirement, scene: Scene, unsure: str | None) -> Verdict:
    """The verdict of one row; `unsure` says why it could not even be told whether the row applies."""
    outcome = _outcome(row, scene)
    if outcome.holds is None or (unsure and outcome.holds is False):
        says = f"{row.title} could not be judged: {outcome.why or unsure or 'a needed fact is missing'}."
        return verdict_of(row, scene, "unknown", says, outcome)
    if not outcome.holds:
        status: Status = "warning" if row.severity == "warning" else "not_met"
        says = fill(row.says, scene, outcome)
        return verdict_of(row, scene, status, says, outcome, _remedies(row, scene, outcome))
    if outcome.failing:
        says = (
            f"{row.title}: {', '.join(outcome.passing)} will do, {', '.join(outcome.failing)} will not "
            f"(needed: {outcome.expected})."
        )
        return verdict_of(row, scene, "warning", says, outcome, [_only(outcome)])
    default = "{actual}." if row.op in ("exists", "absent") else "{actual} meets {expected}."
    return verdict_of(row, scene, "met", fill(row.met or default, scene, outcome), outcome)


def _only(outcome: Outcome) -> Remedy:
    """Hide the GPUs that cannot take part."""
    numbers = [label.split()[1] for label in outcome.passing]
    return Remedy(
        says=f"Let the backend see only GPU {', '.join(numbers)}.",
        commands=(f"export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={','.join(numbers)}",),
        scope="setting",
    )


def verdict_of(
    row: Requirement,
    scene: Scene,
    status: Status,
    says: str,
    outcome: Outcome,
    remedies: Iterable[Remedy] = (),
    because: str | None = None,
) -> Verdict:
    """A verdict with everything that comes from the row itself."""
    ways = ranked(remedies)
    return Verdict(
        id=row.id,
        backend=scene.backend.name,
        title=row.title,
        status=status,
        severity=row.severity,
        says=says,
        link=row.link,
        cause=row.cause if status in ("not_met", "warning") else None,
        expected=_sized(row, outcome.expected),
        actual=_sized(row, outcome.actual),
        evidence=tuple(_evidence(row.fact, fact_of(row.fact, scene))),
        source=row.source,
        checked=row.checked,
        remedy=ways[0] if ways else None,
        ways_out=ways,
        requires=row.requires,
        skipped_because=because,
        fixed_by_install=row.fixed_by_install,
    )


_MIB = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(?=,|$)")


def _sized(row: Requirement, text: str) -> str:
    """What a table shows of a quantity: amounts of memory and disk, MiB in the facts, with their unit."""
    return _MIB.sub(lambda found: gib(float(found[1])), text) if row.fact.endswith("_mib") else text


def _evidence(path: str, fact: AnyFact | PerGpu) -> Iterable[Observation]:
    facts = fact.items if isinstance(fact, PerGpu) else (("", fact),)
    for label, one in facts:
        if isinstance(one, Known):
            yield Observation(source=one.source, value=f"{label or path}: {_text(one.value)}")
        elif isinstance(one, Absent):
            yield Observation(source=one.source, value=f"{label or path}: none")


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _remedies(row: Requirement, scene: Scene, outcome: Outcome) -> Iterable[Remedy]:
    for remedy in (row.remedy, *row.otherwise):
        if remedy is not None:
            yield msgspec.structs.replace(
                remedy,
                says=re.sub(r" \((?:unknown|none)\)", "", fill(remedy.says, scene, outcome)),
                commands=tuple(fill(c, scene, outcome) for c in remedy.commands if _complete(c, scene)),
            )


def _complete(command: str, scene: Scene) -> bool:
    """A command is only given where every fact in it is known."""
    paths = (match[1] for match in HOLE.finditer(command))
    return all(path in OWN_HOLES or isinstance(fact_of(path, scene), Known) for path in paths)


def fill(template: str, scene: Scene, outcome: Outcome | None = None) -> str:
    """Put facts into a template's braces; what nobody knows reads "unknown"."""

    def value(match: re.Match[str]) -> str:
        path = match[1]
        if path in OWN_HOLES:
            return str(getattr(outcome, path)) if outcome else ""
        fact = fact_of(path, scene)
        if isinstance(fact, PerGpu):
            return ", ".join(_short(one) for _, one in fact.items)
        return _short(fact)

    return HOLE.sub(value, template)


def _short(fact: AnyFact) -> str:
    if isinstance(fact, Known):
        return _text(fact.value)
    return "none" if isinstance(fact, Absent) else "unknown"
