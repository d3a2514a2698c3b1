"""The answer first, then what was looked at."""

from __future__ import annotations

from envcheck.compose._cells import STATE_WORDS, row, table
from envcheck.compose.checked import first_action, ready_to_prove, there
from envcheck.compose.installs import first_install
from envcheck.compose.profiles import missing
from envcheck.schema.blocks import Block, Cell, Commands, Note, Section
from envcheck.schema.describe import (
    backend_title,
    cpu_text,
    driver_text,
    gib,
    gpus_text,
    listed,
    os_text,
    plural,
    ram_text,
    sentence,
)
from envcheck.schema.facts import Known, is_known, text_of, value_of
from envcheck.schema.report import Action, Header, Outcome, Subject
from envcheck.schema.run import Run, Validation
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Readiness

_ORDER: tuple[Readiness, ...] = ("ready", "limited", "ready_after_install", "unknown", "blocked")
_PHRASES: dict[Readiness, tuple[str, str]] = {
    "ready": ("is ready", "are ready"),
    "limited": ("works with limits", "work with limits"),
    "ready_after_install": ("is ready once packages are installed", "are ready once packages are installed"),
    "unknown": ("could not be judged", "could not be judged"),
    "blocked": ("is blocked", "are blocked"),
}


def outcome(subject: Subject) -> Outcome:
    """The answer: which backends work, what was proved, what comes first, what this report cannot say."""
    states = [state.status for state in subject.judgement.backends.values()]
    readiness: Readiness = next((status for status in _ORDER if status in states), "unknown")
    proofs = proven_runs(subject)
    first = _first_step(subject, proofs)
    gaps = _missing(subject)
    return Outcome(
        readiness=readiness,
        says=" ".join([_states_sentence(subject), _proof_sentence(subject, proofs)]),
        proven=bool(proofs),
        first=first,
        report_status="partial" if gaps else "complete",
        missing=gaps,
        environment_status=_environment_status(readiness, bool(proofs)),
        next_phase=_next_phase(readiness, bool(proofs), first, subject),
    )


def _first_step(subject: Subject, proofs: list[Run]) -> Action | None:
    """What comes first: measure what is proved; prove what is ready; find out why what is there gave no answer."""
    if proofs:
        return Action(says="Run the benchmark plan and compare each figure with its prediction.")
    judgement, validation = subject.judgement, subject.validation
    if ready_to_prove(judgement, validation):
        return first_action(judgement, validation)
    return _unanswered(subject) or first_install(subject) or first_action(judgement, validation)


def _unanswered(subject: Subject) -> Action | None:
    """A backend that is there and was tried in vain, with the reason."""
    validation = subject.validation or Validation()
    failed = {run.backend: run.why for run in validation.runs if run.status == "failed"}
    silent = {run.backend: run.why for run in validation.runs if run.status == "skipped"} | validation.unready
    is_there = there(subject.judgement)
    for name in is_there:
        if name in failed:
            return Action(says=f"Find out why {backend_title(name)} gave no answer: {sentence(failed[name])}")
    for name in is_there:
        if name in silent:
            return Action(says=f"{backend_title(name)} is there and could not be asked: {sentence(silent[name])}")
    return None


def proven_runs(subject: Subject) -> list[Run]:
    """Runs that prove a backend: real prompts were answered, and not by the embedded default."""
    runs = subject.validation.runs if subject.validation else ()
    return [run for run in runs if run.status in ("passed", "degraded") and not run.is_fallback]


def _states_sentence(subject: Subject) -> str:
    backends = subject.judgement.backends
    said = []
    for status in _ORDER:
        names = [name for name, state in backends.items() if state.status == status]
        later = [name for name in names if status == "limited" and missing(name, subject)]
        for group, tail in (([name for name in names if name not in later], ""), (later, " once installed")):
            if group:
                said.append(f"{listed([backend_title(n) for n in group])} {_PHRASES[status][len(group) > 1]}{tail}")
    return f"{'; '.join(said)}." if said else "No backend was judged."


def _proof_sentence(subject: Subject, proofs: list[Run]) -> str:
    if proofs:
        return " ".join(f"Proved by real prompts: {_proof(run)}." for run in proofs)
    runs = subject.validation.runs if subject.validation else ()
    fallback = next((run for run in runs if run.is_fallback and run.status in ("passed", "degraded")), None)
    if fallback:
        return f"No backend of the machine was run; envcheck's own engine answered instead: {_proof(fallback)}."
    if runs:
        return "No backend has answered a real prompt yet."
    return "Nothing was run: no backend has been proved on this machine."


def _proof(run: Run) -> str:
    answered = [prompt for prompt in run.prompts if prompt.error is None and prompt.answer != "not_judged"]
    right = sum(prompt.passed for prompt in answered)
    return (
        f"{backend_title(run.backend)} with {run.model} on {run.device_used}, {right} of {len(answered)} answers right"
    )


def _missing(subject: Subject) -> tuple[str, ...]:
    gaps = []
    if subject.validation is None or not subject.validation.runs:
        reason = " (the machine is assumed, not at hand)" if subject.snapshot.origin == "assumed" else ""
        gaps.append(f"measured results: nothing was run{reason}")
    if not subject.fits:
        gaps.append("memory and speed per model: no fit was calculated")
    if not subject.tables.packages:
        gaps.append("package versions: the package table was not given")
    unknown = sum(verdict.status == "unknown" for verdict in subject.judgement.verdicts)
    if unknown:
        gaps.append(f"{plural(unknown, 'requirement')} could not be judged")
    return tuple(gaps)


def _environment_status(readiness: Readiness, proven: bool) -> str:
    if proven:
        return "READY AND PROVED"
    return {
        "ready": "READY, NOT PROVED",
        "limited": "LIMITED",
        "ready_after_install": "READY AFTER INSTALL",
        "unknown": "UNKNOWN",
        "blocked": "NOT READY",
    }[readiness]


def _next_phase(readiness: Readiness, proven: bool, first: Action | None, subject: Subject) -> str:
    if proven:
        return "run the benchmark plan on the proved backend, then choose the model to deploy"
    if ready_to_prove(subject.judgement, subject.validation):
        return "prove an installed backend with real prompts (envcheck run)"
    if there(subject.judgement):
        return "get an answer out of what is installed, then run the benchmark plan"
    if readiness in ("limited", "ready_after_install"):
        return "install what is missing, then prove it with real prompts (envcheck run)"
    if readiness == "blocked":
        return (
            f"clear what blocks: {first.says}"
            if first
            else "nothing known unblocks a backend here: choose other hardware"
        )
    return "find out what is unknown (envcheck check on the machine itself)"


def overview_section(subject: Subject, header: Header, answer: Outcome) -> Section:
    """Outcome, backends, the first thing to do, who asked and what machine it is about."""
    mark = STATE_WORDS[answer.readiness][0]
    blocks: list[Block] = [Note(text=answer.says, mark=mark)]
    states = subject.judgement.backends
    if states:
        rows = [
            row(
                Cell(text=backend_title(name), link=f"#backend-{slug(name)}"),
                Cell(text=STATE_WORDS[state.status][1], mark=STATE_WORDS[state.status][0]),
                state.why,
            )
            for name, state in states.items()
        ]
        blocks.append(table("Backends", ["Backend", "State", "Why"], rows))
    if answer.first:
        blocks += _first(answer.first)
    blocks.append(table("This report", ["Field", "Value"], [*_header_rows(header, subject), *_machine_rows(subject)]))
    return Section(id="overview", title="Overview", blocks=tuple(blocks))


def _first(first: Action) -> list[Block]:
    root = " Needs administrator rights." if first.needs_root else ""
    text = f"To do first: {first.says}{root}"
    if first.commands:
        return [Commands(says=text, lines=first.commands)]
    return [Note(text=text, mark="caution")]


def _header_rows(header: Header, subject: Subject) -> list[tuple[Cell, ...]]:
    fields = [
        ("Timestamp", header.timestamp or subject.snapshot.taken_at),
        ("Sprint", header.sprint),
        ("Agent", header.agent),
        ("Environment", _environment(subject.snapshot)),
        ("Made by", f"envcheck {header.version}" if header.version else ""),
        ("Machine seen", _origin(subject.snapshot)),
    ]
    return [row(name, value) for name, value in fields if value]


def _environment(snapshot: Snapshot) -> str:
    gpus = gpus_text(snapshot)
    with_gpus = f"with {gpus}" if is_known(snapshot.gpus) else "without a GPU" if gpus == "none" else f"GPU {gpus}"
    return f"{os_text(snapshot)} {with_gpus}"


def _origin(snapshot: Snapshot) -> str:
    if snapshot.origin == "assumed":
        return "no: its facts were stated (--assume); what was left out is unknown"
    if snapshot.origin == "imported":
        return "no: its facts were read from a pasted report"
    return f"yes, at {snapshot.taken_at}" if snapshot.taken_at else "yes"


def _machine_rows(subject: Subject) -> list[tuple[Cell, ...]]:
    snapshot = subject.snapshot
    fields = [
        ("GPU driver", driver_text(snapshot) or ""),
        ("CPU", cpu_text(snapshot)),
        ("Main memory", ram_text(snapshot)),
    ]
    fields.append(("Disk", _disk(snapshot)))
    fields.append(("Python (target)", _python(snapshot)))
    containers = snapshot.containers
    engine = containers.docker_engine if is_known(containers.docker_engine) else containers.docker_client
    fields.append(("Docker", text_of(engine) if is_known(engine) else ""))
    return [row(name, value) for name, value in fields if value]


def _disk(snapshot: Snapshot) -> str:
    """Free space, purposes on equally free (mostly the same) file systems together."""
    free: dict[str, list[str]] = {}
    for space in snapshot.disk.spaces:
        if isinstance(space.free_mib, Known):
            free.setdefault(gib(space.free_mib.value), []).append(space.purpose.replace("_", " "))
    return "; ".join(f"{amount} free for {listed(purposes)}" for amount, purposes in free.items())


def _python(snapshot: Snapshot) -> str:
    packages = value_of(snapshot.python.packages)
    count = f", {plural(len(packages), 'package')}" if packages is not None else ""
    where = f", {snapshot.python.environment.value}" if is_known(snapshot.python.environment) else ""
    return f"{text_of(snapshot.python.version)}{where}{count}"


def slug(name: str) -> str:
    """A name as part of an id: lower-case letters, digits and single hyphens."""
    words = "".join(char if char.isascii() and char.isalnum() else " " for char in name.lower()).split()
    return "-".join(words) or "x"
