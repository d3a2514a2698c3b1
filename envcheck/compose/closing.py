"""The end of a report: what to do next, and where everything in it is from."""

from __future__ import annotations

from envcheck.compose._cells import code, row, table
from envcheck.compose.checked import actions
from envcheck.compose.installation import is_planned, planned_backend
from envcheck.compose.overview import slug
from envcheck.schema.blocks import Block, Cell, Commands, Fold, Paragraph, Points, Section
from envcheck.schema.describe import backend_title
from envcheck.schema.report import Header, Outcome, Subject


def next_steps_section(subject: Subject, answer: Outcome) -> Section:
    """In order: what unblocks, what to install, what to prove, what to measure, what to find out."""
    backend_of = {verdict.id: verdict.backend for verdict in subject.judgement.verdicts}
    planned = planned_backend(subject)
    steps = [
        Cell(text=f"{action.says}{_for([backend_of[verdict] for verdict in action.serves])}")
        for action in actions(subject.judgement)
        if not (planned and is_planned(action, subject))
    ][:6]
    if planned:
        text = f"Install {backend_title(planned)} as planned, in an environment of its own."
        steps.insert(0, Cell(text=text, link="#installation-commands"))
    states = {name: state.status for name, state in subject.judgement.backends.items()}
    prove = Cell(text="Prove a backend with real prompts (envcheck run), and look at the device it used.")
    if not answer.proven and "ready" in states.values():
        steps.insert(0, prove)
    elif not answer.proven and any(status in ("limited", "ready_after_install") for status in states.values()):
        steps.append(prove)
    if any(status != "blocked" for status in states.values()):
        steps.append(Cell(text="Run the benchmark plan; compare each figure with its prediction.", link="#plan"))
    if answer.missing:
        steps.append(Cell(text=f"Find out what this report could not say: {'; '.join(answer.missing)}."))
    if not steps:
        steps.append(Cell(text="Nothing known would make a backend run on this machine: choose another machine."))
    return Section(id="next-steps", title="Next steps", blocks=(Points(items=tuple(steps), ordered=True),))


def _for(backends: list[str]) -> str:
    names = [backend_title(name) for name in dict.fromkeys(backends) if name != "machine"]
    return f" (for {', '.join(names)})" if names else ""


def appendix_section(subject: Subject, header: Header) -> Section:
    """How to make the report again, the age of its tables, the sources of its requirements, what left the machine."""
    blocks: list[Block] = []
    if header.command:
        blocks.append(Commands(says="This report again:", lines=(header.command,)))
    blocks.append(Paragraph(text=_local_only(subject)))
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


def _local_only(subject: Subject) -> str:
    runs = subject.validation.runs if subject.validation else ()
    remote = [run for run in runs if run.url and not _is_loopback(run.url)]
    if remote:
        names = ", ".join(dict.fromkeys(backend_title(run.backend) for run in remote))
        return f"Prompts left the machine: {names} was asked at another machine's address, because it was named."
    if runs:
        return "Nothing left the machine: every engine was asked inside its process or over the loopback address."
    if subject.snapshot.origin == "machine":
        return "Nothing left the machine: it was only looked at."
    return "No machine was touched for this report: its facts came from a file."


def _is_loopback(url: str) -> bool:
    host = url.split("//", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]
    name = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.rsplit(":", 1)[0]
    numbers = name.split(".")
    ipv4 = len(numbers) == 4 and numbers[0] == "127" and all(part.isascii() and part.isdigit() for part in numbers)
    return name in ("localhost", "::1") or ipv4


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
