"""What changed on a machine between two looks: hardware, driver, packages, states, verdicts, speed beyond noise."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log, sqrt
from statistics import fmean, stdev

from envcheck.compose._cells import row, table
from envcheck.compose.statistics import half_width
from envcheck.schema.blocks import Block, Cell, Mark, Note, Section
from envcheck.schema.describe import backend_title, cpu_text, driver_text, gpus_text, os_text, plural, ram_text
from envcheck.schema.facts import Record, text_of, value_of
from envcheck.schema.report import Subject
from envcheck.schema.run import Run

_GOOD = ("ready", "met", "waived")


class Change(Record):
    """One thing that is not as it was."""

    what: str
    before: str
    after: str
    mark: Mark


def changes_section(old: Subject, new: Subject, since: str) -> Section:
    """Every difference between two looks at a machine, or the statement that there is none."""
    found = list(changes(old, new))
    title = f"Changes since {since}" if since else "Changes"
    block: Block = Note(text="Nothing that matters changed.", mark="good")
    if found:
        rows = [row(Cell(text=c.what, mark=c.mark), c.before, c.after) for c in found]
        caption = f"{plural(len(found), 'change')}"
        basis = "Speed: shown where the 95 % interval of the paired prompts excludes no change."
        block = table(
            caption, ["What", "Before", "Now"], rows, basis if any("tokens/s" in c.after for c in found) else ""
        )
    return Section(id="changes", title=title, blocks=(block,))


def changes(old: Subject, new: Subject) -> Iterator[Change]:
    """Differences in the order machine, packages, backends, requirements, speed."""
    yield from _machine(old, new)
    yield from _packages(old, new)
    yield from _backends(old, new)
    yield from _verdicts(old, new)
    yield from _speeds(old, new)


def _machine(old: Subject, new: Subject) -> Iterator[Change]:
    a, b = old.snapshot, new.snapshot
    for what, before, after in (
        ("GPU", gpus_text(a), gpus_text(b)),
        ("GPU driver", driver_text(a) or "unknown", driver_text(b) or "unknown"),
        ("CPU", cpu_text(a), cpu_text(b)),
        ("Main memory", ram_text(a).split(",")[0], ram_text(b).split(",")[0]),
        ("Operating system", os_text(a), os_text(b)),
        ("Python", text_of(a.python.version), text_of(b.python.version)),
    ):
        if before != after:
            yield Change(what=what, before=before, after=after, mark="caution")


def _packages(old: Subject, new: Subject) -> Iterator[Change]:
    before, after = value_of(old.snapshot.python.packages), value_of(new.snapshot.python.packages)
    if before is None or after is None:
        return
    a, b = {p.name: p.version for p in before}, {p.name: p.version for p in after}
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            said = (a.get(name, "not installed"), b.get(name, "not installed"))
            yield Change(what=f"package {name}", before=said[0], after=said[1], mark="caution")


def _backends(old: Subject, new: Subject) -> Iterator[Change]:
    a, b = old.judgement.backends, new.judgement.backends
    for name in dict.fromkeys([*a, *b]):
        before = a[name].status if name in a else "not judged"
        after = b[name].status if name in b else "not judged"
        if before != after:
            yield _state(backend_title(name), before, after)


def _verdicts(old: Subject, new: Subject) -> Iterator[Change]:
    a = {verdict.id: verdict.status for verdict in old.judgement.verdicts}
    for verdict in new.judgement.verdicts:
        before = a.pop(verdict.id, "not judged")
        if before != verdict.status:
            yield _state(verdict.id, before, verdict.status)
    for verdict_id, before in a.items():
        yield _state(verdict_id, before, "not judged")


def _state(what: str, before: str, after: str) -> Change:
    mark: Mark = "good" if after in _GOOD else "bad" if after in ("blocked", "not_met") else "caution"
    return Change(what=what, before=before.replace("_", " "), after=after.replace("_", " "), mark=mark)


def _speeds(old: Subject, new: Subject) -> Iterator[Change]:
    before = {(run.backend, run.model): run for run in (old.validation.runs if old.validation else ())}
    for run in new.validation.runs if new.validation else ():
        earlier = before.get((run.backend, run.model))
        ratio = speed_ratio(earlier, run) if earlier else None
        if ratio is not None and earlier is not None:
            label = f"decode speed of {run.model} in {backend_title(run.backend)}"
            then = _mean(earlier)
            says = f"{then * ratio:.1f} tokens/s ({ratio - 1:+.0%})".replace("%", " %")
            yield Change(what=label, before=f"{then:.1f} tokens/s", after=says, mark="good" if ratio > 1 else "bad")


def speed_ratio(old: Run, new: Run) -> float | None:
    """Decode speed now over then, from prompts that both runs answered; None where the difference may be noise.

    The mean of the paired log ratios with its 95 % interval (Student's t); fewer than three pairs say nothing.
    """
    before = {prompt.id: prompt.decode_tps for prompt in old.prompts if prompt.decode_tps}
    pairs = [
        log(prompt.decode_tps / then)
        for prompt in new.prompts
        if prompt.decode_tps and (then := before.get(prompt.id)) is not None
    ]
    if len(pairs) < 3:
        return None
    mean, width = fmean(pairs), half_width(len(pairs), stdev(pairs))
    return exp(mean) if abs(mean) > max(width, 1e-9 * sqrt(len(pairs))) else None


def _mean(run: Run) -> float:
    """The geometric mean of a run's decode speeds, which is what ratios compare."""
    return exp(fmean([log(prompt.decode_tps) for prompt in run.prompts if prompt.decode_tps]))
