"""The end of a report: what to do next, and where everything in it is from."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from envcheck.compose._cells import code, row, said_once, table
from envcheck.compose.checked import actions, ready_to_prove, there
from envcheck.compose.installs import backend_of, by_envcheck, is_planned, plans, what
from envcheck.compose.overview import slug
from envcheck.compose.workloads import prompt_settings
from envcheck.schema.blocks import Block, Cell, Commands, Fold, Points, Section
from envcheck.schema.describe import backend_title, listed
from envcheck.schema.report import Header, Outcome, Subject
from envcheck.schema.run import Run


def next_steps_section(subject: Subject, answer: Outcome) -> Section:
    """In order: what unblocks, what to install, what to prove, what to measure, what to find out."""
    backend_of_verdict = {verdict.id: verdict.backend for verdict in subject.judgement.verdicts}
    found = []
    for action in actions(subject.judgement):
        if not is_planned(action, subject):
            backends = list(dict.fromkeys(backend_of_verdict[verdict] for verdict in action.serves))
            title = backend_title(backends[0]) if len(backends) == 1 else ""
            found.append((title, f"{action.says}{_for(backends, action.says)}"))
    steps = [Cell(text=text) for text in said_once(found)][:6]
    is_there = bool(there(subject.judgement))
    if is_there:
        steps = [msgspec.structs.replace(step, text=f"If wanted: {step.text}") for step in steps]
    steps = [*_installs(subject), *steps]
    states = {name: state.status for name, state in subject.judgement.backends.items()}
    prove = Cell(text="Prove a backend with real prompts (envcheck run), and look at the device it used.")
    if not answer.proven and ready_to_prove(subject.judgement, subject.validation):
        steps.insert(0, prove)
    elif not answer.proven and is_there and answer.first:
        steps.insert(0, Cell(text=answer.first.says))
    elif not answer.proven and any(status in ("limited", "ready_after_install") for status in states.values()):
        steps.append(prove)
    if any(status != "blocked" for status in states.values()):
        steps.append(Cell(text="Run the benchmark plan; compare each figure with its prediction.", link="#plan"))
    if answer.missing:
        steps.append(Cell(text=f"Find out what this report could not say: {'; '.join(answer.missing)}."))
    if not steps:
        steps.append(Cell(text="Nothing known would make a backend run on this machine: choose another machine."))
    return Section(id="next-steps", title="Next steps", blocks=(Points(items=tuple(steps), ordered=True),))


def _installs(subject: Subject) -> list[Cell]:
    """The planned install; without one that has to come first, the others are up to the reader."""
    if subject.plan is not None and by_envcheck(subject.plan) and not there(subject.judgement):
        return [Cell(text=f"Install {what(subject.plan)}.", link=f"#install-{slug(backend_of(subject.plan))}")]
    wanted = [plan for plan in plans(subject) if not plan.blocked]
    if not wanted or there(subject.judgement):
        return []
    return [Cell(text=f"Install {what(wanted[0])}.", link=f"#install-{slug(backend_of(wanted[0]))}")]


def _for(backends: list[str], says: str) -> str:
    """Whom it helps, where the sentence does not name them all."""
    names = [backend_title(name) for name in dict.fromkeys(backends) if name != "machine"]
    return "" if all(name in says for name in names) else f" (for {', '.join(names)})"


def appendix_section(subject: Subject, header: Header) -> Section:
    """How to make the report again and compare it, the age of its tables, and the sources of its requirements."""
    blocks: list[Block] = []
    if header.command:
        blocks.append(Commands(says="This report again:", lines=(header.command,)))
    blocks.append(_exactly(subject, header))
    answers = _answers(subject)
    if answers:
        blocks.append(Fold(title="Digests of the answers", blocks=(answers,)))
    if subject.tables.ages:
        rows = [row(code(age.name), f"{age.rows}", age.oldest, age.newest) for age in subject.tables.ages]
        heads = ["Table", "#Rows", "Oldest row checked", "Newest"]
        blocks.append(table("Age of the tables", heads, rows))
    sources = _sources(subject)
    if sources:
        blocks.append(Fold(title="Sources of the requirements", blocks=(sources,)))
    packages = _packages(subject)
    if packages:
        blocks.append(Fold(title="Packages of the target environment", blocks=(packages,)))
    return Section(id="appendix", title="Appendix", blocks=tuple(blocks))


def _exactly(subject: Subject, header: Header) -> Block:
    """Versions, settings and digests that say whether somebody else looks at the same thing."""
    facts = sha256(msgspec.json.encode(subject.snapshot)).hexdigest()
    fits = sha256(msgspec.json.encode(subject.fits)).hexdigest()
    rows = [row("envcheck", header.version)] if header.version else []
    runs = subject.validation.runs if subject.validation else ()
    rows += [row(f"{backend_title(run.backend)} with {run.model}", code(_engine(run))) for run in runs if run.engine]
    rows.append(row("Settings of the prompts", _settings(runs)))
    rows.append(row("sha256 of the machine's facts (JSON, as in the in-toto statement)", code(facts)))
    if subject.fits:
        rows.append(row("sha256 of the memory and speed rows (JSON)", code(fits)))
    return table("To reproduce", ["What", "Exactly"], rows)


def _engine(run: Run) -> str:
    settings = [f"{name} {value}" for name, value in run.settings.items() if name in _SAME]
    return "; ".join([run.engine, *settings])


_SAME = ("seed", "temperature", "context", "threads", "dtype", "model_digest", "model_sha256", "chat_template_sha256")
"""Settings that have to be equal for two runs to be comparable."""


def _settings(runs: tuple[Run, ...]) -> str:
    seeds = {run.settings["seed"] for run in runs if "seed" in run.settings}
    heat = {run.settings["temperature"] for run in runs if "temperature" in run.settings}
    sampling = prompt_settings()
    seed, temperature = sorted(seeds or {sampling.seed}), sorted(heat or {sampling.temperature})
    return f"seed {listed(seed)}, temperature {listed(temperature)}; limits and texts under Metrics and workloads"


def _answers(subject: Subject) -> Block | None:
    """Digests of whole answers: the same engine, weights and settings give the same ones."""
    rows = [
        row(backend_title(run.backend), run.model, prompt.id.replace("_", " "), code(prompt.answer_sha256))
        for run in (subject.validation.runs if subject.validation else ())
        for prompt in run.prompts
        if prompt.answer_sha256
    ]
    return table("Digests", ["Backend", "Model", "Prompt", "sha256 of the answer"], rows) if rows else None


def _sources(subject: Subject) -> Block | None:
    addresses: dict[str, list[str]] = {}
    for verdict in subject.judgement.verdicts:
        if verdict.source:
            addresses.setdefault(verdict.source, []).append(verdict.id)
    if not addresses:
        return None
    rows = [row(Cell(text=address, link=address), code(", ".join(ids))) for address, ids in sorted(addresses.items())]
    return table("Sources", ["Address", "Requirements"], rows)


def _packages(subject: Subject) -> Block | None:
    packages = subject.snapshot.python.packages
    value = getattr(packages, "value", None)
    if not value:
        return None
    rows = [row(code(package.name), code(package.version)) for package in sorted(value, key=lambda p: slug(p.name))]
    return table("Packages", ["Package", "Version"], rows)
