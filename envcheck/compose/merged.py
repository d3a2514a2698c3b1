"""One report about many machines: which backend works where, and what to do for how many of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from envcheck.compose._cells import FIT_WORDS, STATE_WORDS, row, table
from envcheck.compose.checked import actions, there
from envcheck.compose.installs import by_pip, first_install, is_planned
from envcheck.compose.overview import outcome
from envcheck.schema.blocks import Block, Cell, Commands, Fold, Note, Part, Points, Section
from envcheck.schema.describe import (
    backend_title,
    driver_text,
    gpus_text,
    listed,
    os_text,
    plural,
    ram_text,
    sentence,
)
from envcheck.schema.facts import NOT_READ
from envcheck.schema.plan import Decision, Plan
from envcheck.schema.report import SCHEMA_VERSION, Action, Header, Outcome, Report, Subject, Tables
from envcheck.schema.verdict import Readiness, Verdict

_ORDER: tuple[Readiness, ...] = ("ready", "limited", "ready_after_install", "unknown", "blocked")


def merge(subjects: Sequence[Subject], header: Header) -> Report:
    """Several machines as one report. Equal aliases are numbered, so that every machine keeps its own name.

    Of each machine it keeps what its sections and the formats need: not the evidence behind each verdict, not the list
    of packages and not the options compared, which the machine's own report has.
    """
    named = _named(slimmed(subjects))
    answers = [outcome(subject) for subject in named]
    found = [
        _overview(named, answers, header),
        _states(named),
        _models(named),
        _steps(named),
    ]
    return Report(
        kind="report",
        schema_version=SCHEMA_VERSION,
        header=header,
        outcome=_outcome(named, answers),
        subjects=tuple(named),
        sections=tuple(section for section in found if section is not None),
    )


def slimmed(subjects: Iterable[Subject]) -> list[Subject]:
    """Subjects without evidence and package lists; verdicts that machines have in common are kept once in memory."""
    shared: dict[Verdict, Verdict] = {}
    return [_slim(subject, shared) for subject in subjects]


def _slim(subject: Subject, shared: dict[Verdict, Verdict]) -> Subject:
    bare = (msgspec.structs.replace(verdict, evidence=()) for verdict in subject.judgement.verdicts)
    verdicts = tuple(shared.setdefault(verdict, verdict) for verdict in bare)
    python = msgspec.structs.replace(subject.snapshot.python, packages=NOT_READ)
    return msgspec.structs.replace(
        subject,
        snapshot=msgspec.structs.replace(subject.snapshot, python=python),
        judgement=msgspec.structs.replace(subject.judgement, verdicts=verdicts),
        tables=Tables(ages=subject.tables.ages),
        plan=_bare(subject.plan) if subject.plan else None,
        other_plans=tuple(_bare(plan) for plan in subject.other_plans),
        presets=(),
        curves=(),
        singles=(),
        parallel=(),
        alternatives=(),
    )


def _bare(plan: Plan) -> Plan:
    """What to run, without why."""
    decision = Decision(accelerator=plan.decision.accelerator, torch=plan.decision.torch)
    return msgspec.structs.replace(plan, decision=decision, packages=(), warnings=(), cost=None)


def _named(subjects: Sequence[Subject]) -> list[Subject]:
    seen: Counter[str] = Counter()
    often = Counter(subject.snapshot.alias for subject in subjects)
    named = []
    for subject in subjects:
        alias = subject.snapshot.alias
        if often[alias] == 1:
            named.append(subject)
            continue
        seen[alias] += 1
        snapshot = msgspec.structs.replace(subject.snapshot, alias=f"{alias}-{seen[alias]}")
        named.append(msgspec.structs.replace(subject, snapshot=snapshot))
    return named


def _outcome(subjects: list[Subject], answers: list[Outcome]) -> Outcome:
    counts = Counter(answer.readiness for answer in answers)
    worst = next(status for status in reversed(_ORDER) if counts[status])
    proven = sum(answer.proven for answer in answers)
    said = [f"{STATE_WORDS[status][1]} on {counts[status]}" for status in _ORDER if counts[status]]
    missing = Counter(text.split(":")[0] for answer in answers for text in answer.missing if _is_gap(text))
    open_ones = [sum(v.status == "unknown" for v in subject.judgement.verdicts) for subject in subjects]
    first = _grouped(subjects)
    return Outcome(
        readiness=worst,
        says=f"Of {plural(len(subjects), 'machine')}, at least one backend is {listed(said)}. "
        f"Proved by real prompts on {proven}.",
        proven=proven == len(subjects),
        first=first[0][0] if first else None,
        report_status="partial" if missing or any(open_ones) else "complete",
        missing=(
            *(f"{text} ({plural(count, 'machine')})" for text, count in missing.items()),
            *([_unjudged(open_ones)] if any(open_ones) else []),
        ),
        environment_status=listed(
            [f"{count} {status}" for status, count in Counter(a.environment_status for a in answers).items()]
        ),
        next_phase="prove every machine that is ready with real prompts (envcheck run)"
        if proven < len(subjects)
        else "run the benchmark plan of each machine",
    )


def _is_gap(text: str) -> bool:
    """Not what a merged report leaves out on purpose, and not the requirements, which are counted over all machines."""
    return not text.startswith("package versions") and not text.endswith("could not be judged")


def _unjudged(open_ones: list[int]) -> str:
    machines = plural(sum(count > 0 for count in open_ones), "machine")
    return f"{plural(sum(open_ones), 'requirement')} could not be judged ({machines})"


def _overview(subjects: list[Subject], answers: list[Outcome], header: Header) -> Section:
    answer = _outcome(subjects, answers)
    fields = [("Timestamp", header.timestamp), ("Sprint", header.sprint), ("Agent", header.agent)]
    fields += [("Made by", f"envcheck {header.version}" if header.version else ""), ("Machines", str(len(subjects)))]
    blocks: list[Block] = [
        Note(text=answer.says, mark=STATE_WORDS[answer.readiness][0]),
        table("This report", ["Field", "Value"], [row(name, value) for name, value in fields if value]),
    ]
    return Section(id="overview", title="Overview", blocks=tuple(blocks))


def _states(subjects: list[Subject]) -> Section | None:
    names = list(dict.fromkeys(name for subject in subjects for name in subject.judgement.backends))
    if not names:
        return None
    rows = []
    for subject in subjects:
        cells = [Cell(text=subject.snapshot.alias, code=True), Cell(text=gpus_text(subject.snapshot))]
        for name in names:
            state = subject.judgement.backends.get(name)
            mark, word = STATE_WORDS[state.status] if state else ("skipped", "not judged")
            cells.append(Cell(text=word, mark=mark))
        rows.append(tuple(cells))
    heads = ["Machine", "GPU", *(backend_title(name) for name in names)]
    details = [_detail(subject) for subject in subjects]
    more = table(
        "Machines", ["Machine", "Driver", "Main memory", "Operating system", "What stands in the way"], details
    )
    fold = Fold(title="Each machine, and what stands in its way", blocks=(more,))
    return Section(
        id="machines", title="Machines and backends", blocks=(table("Machines and backends", heads, rows), fold)
    )


def _detail(subject: Subject) -> tuple[Cell, ...]:
    machine = subject.snapshot
    facts = (driver_text(machine) or "–", ram_text(machine), os_text(machine), " ".join(_why(subject)) or "–")
    return row(Cell(text=machine.alias, code=True), *facts)


def _why(subject: Subject) -> list[str]:
    states = subject.judgement.backends
    return [sentence(state.why) for state in states.values() if state.status in ("blocked", "unknown")]


def _models(subjects: list[Subject]) -> Section | None:
    """Per machine and model the best that any backend reaches."""
    models = list(dict.fromkeys(fit.model for subject in subjects for fit in subject.fits))
    if not models:
        return None
    rank = list(FIT_WORDS)
    rows = []
    for subject in subjects:
        cells = [Cell(text=subject.snapshot.alias, code=True)]
        for model in models:
            fits = [fit for fit in subject.fits if fit.model == model]
            if not fits:
                cells.append(Cell(text="–"))
                continue
            best = min(fits, key=lambda fit: rank.index(fit.status))
            mark, word = FIT_WORDS[best.status]
            where = f" ({backend_title(best.backend)} {best.quant})" if best.status not in ("no", "unknown") else ""
            cells.append(Cell(text=word + where, mark=mark))
        rows.append(tuple(cells))
    basis = "Calculated; the first backend and quantization in which the model fits best."
    found = table("Models per machine", ["Machine", *models], rows, basis)
    return Section(id="models", title="Models per machine", blocks=(found,))


def _to_do(subject: Subject) -> list[Action]:
    """The planned install where nothing is there yet, then what no plan does."""
    planned = None if there(subject.judgement) else first_install(subject)
    rest = [
        msgspec.structs.replace(action, commands=by_pip(action, subject))
        for action in actions(subject.judgement)
        if not is_planned(action, subject)
    ]
    return [planned, *rest] if planned else rest


def _grouped(subjects: list[Subject]) -> list[tuple[Action, list[str]]]:
    """Each remedy once, with the machines it is for; what helps most machines first."""
    grouped: dict[tuple[str, tuple[str, ...]], tuple[Action, list[str]]] = {}
    for subject in subjects:
        for action in _to_do(subject):
            entry = grouped.setdefault((action.says, action.commands), (action, []))
            entry[1].append(subject.snapshot.alias)
    return sorted(grouped.values(), key=lambda entry: -len(entry[1]))


def _steps(subjects: list[Subject]) -> Section:
    parts: list[Block] = []
    for number, (action, aliases) in enumerate(_grouped(subjects)[:20], start=1):
        where = listed(aliases) if len(aliases) <= 8 else plural(len(aliases), "machine")
        says = f"On {where}." + (" Needs administrator rights." if action.needs_root else "")
        block: Block = (
            Commands(says=says, lines=action.commands) if action.commands else Note(text=says, mark="caution")
        )
        parts.append(Part(id=f"step-{number}", title=action.says, blocks=(block,)))
    if not parts:
        parts.append(Points(items=(Cell(text="Prove every machine that is ready with real prompts (envcheck run)."),)))
    return Section(id="next-steps", title="Next steps", blocks=tuple(parts))
