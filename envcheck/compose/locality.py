"""What left the machine, what was allowed to, and how anybody can see it for themselves."""

from __future__ import annotations

from collections import Counter

from envcheck.compose._cells import code, number, row, table
from envcheck.schema.blocks import Block, Cell, Commands, Note, Points, Section
from envcheck.schema.describe import backend_title
from envcheck.schema.facts import value_of
from envcheck.schema.local_only import OFFLINE
from envcheck.schema.report import Subject
from envcheck.schema.run import Run


def local_only_section(subject: Subject) -> Section:
    """The statement, the addresses that were asked, the variables that were set, and a way to prove it."""
    runs = subject.validation.runs if subject.validation else ()
    asked = [run for run in runs if run.prompts]
    remote = [run for run in asked if run.url and not is_loopback(run.url)]
    blocks: list[Block] = [Note(text=_says(subject, asked, remote), mark="caution" if remote else "good")]
    if asked:
        sent: Counter[tuple[str, str, str]] = Counter()
        for run in asked:
            sent[run.backend, run.model, _host(run.url)] += sum(not prompt.skipped_because for prompt in run.prompts)
        rows = [row(backend_title(name), model, _where(host), number(n, 0)) for (name, model, host), n in sent.items()]
        basis = "From the runs: the address each prompt was sent to."
        blocks.append(table("Who was asked where", ["Backend", "Model", "Address", "#Prompts sent"], rows, basis))
    blocks.append(Points(items=_rules()))
    proof = _proof(subject)
    if proof:
        blocks.append(proof)
    return Section(id="local-only", title="Local only", blocks=tuple(blocks))


def is_loopback(url: str) -> bool:
    """Whether an address is this very machine; user names and look-alike names do not fool it."""
    host = url.split("//", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]
    name = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.rsplit(":", 1)[0]
    numbers = name.split(".")
    ipv4 = len(numbers) == 4 and numbers[0] == "127" and all(part.isascii() and part.isdigit() for part in numbers)
    return name in ("localhost", "::1") or ipv4


def _says(subject: Subject, asked: list[Run], remote: list[Run]) -> str:
    if remote:
        names = ", ".join(dict.fromkeys(backend_title(run.backend) for run in remote))
        return f"Prompts left the machine: {names} was asked at another machine's address, because it was named."
    if asked:
        return "Nothing left the machine: every engine was asked inside its process or over the loopback address."
    if subject.snapshot.origin == "machine":
        return "Nothing left the machine: it was only looked at."
    return "No machine was touched for this report: its facts came from a file."


def _host(url: str) -> str:
    """The address without its port, which differs from start to start."""
    return url.split("//", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0]


def _where(host: str) -> Cell:
    if not host:
        return Cell(text="inside its process")
    return code(host) if is_loopback(f"//{host}:0") else Cell(text=host, mark="caution", code=True)


def _rules() -> tuple[Cell, ...]:
    names = ", ".join(f"{name}={value}" for name, value in OFFLINE.items())
    return (
        Cell(text="envcheck check, fit, validate, run and report connect to loopback addresses only."),
        Cell(text="The exception is an address that somebody names with --url: it would be listed above."),
        Cell(text=f"Engines that envcheck starts get these variables: {names}."),
        Cell(text="envcheck install and envcheck models pull fetch files; with --offline the former does not either."),
    )


def _proof(subject: Subject) -> Commands | None:
    """A run in a network namespace that has nothing but loopback; Linux only (`unshare(1)`, `ip-link(8)`)."""
    if value_of(subject.snapshot.os.family) != "linux":
        return None
    says = "To see it: the same run where no network exists but loopback. It must give the same answers."
    line = "unshare --user --map-root-user --net sh -c 'ip link set lo up && envcheck run'"
    return Commands(says=says, lines=(line,))
