"""What changed on a machine between two looks: hardware, driver, packages, variables, states, verdicts, real speed."""

from __future__ import annotations

from collections.abc import Iterator, Set
from math import exp, log, sqrt
from statistics import fmean, stdev

import msgspec

from envcheck.compose._cells import row, table
from envcheck.compose.statistics import half_width
from envcheck.schema.blocks import Block, Cell, Fold, Mark, Note, Section
from envcheck.schema.describe import backend_title, cpu_text, driver_text, gpus_text, listed, os_text, plural, ram_text
from envcheck.schema.facts import text_of, value_of
from envcheck.schema.report import Change, Changes, Subject
from envcheck.schema.run import Run
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Judgement, Verdict

_GOOD = ("ready", "met", "waived")
_UNJUDGED = "not judged"
_SILENT = ((_UNJUDGED, "met"), ("met", _UNJUDGED), (_UNJUDGED, "skipped"), ("skipped", _UNJUDGED))
_KNOWN = ("vllm", "sglang", "tensorrt-llm", "flash-attn", "xformers", "torchvision", "torchaudio", "triton")
"""Packages that decide about a backend, beside those of the package table."""


def changes_section(old: Subject, new: Subject, since: str) -> Section:
    """Every difference between two looks at a machine, or the statement that there is none.

    What came along (dependencies, requirements that only one of the looks judged) is folded away.
    """
    found = list(changes(old, new))
    title = f"Changes since {since}" if since else "Changes"
    if not found:
        return Section(id="changes", title=title, blocks=(Note(text="Nothing that matters changed.", mark="good"),))
    named = {*_KNOWN, *(package.name for package in (*old.tables.packages, *new.tables.packages))}
    telling = [one for one in found if _tells(one, named)]
    rest = [one for one in found if one not in telling]
    names = {v.id: _name(v) for subject in (old, new) for v in subject.judgement.verdicts}
    blocks: list[Block] = [Note(text=_summary(found), mark=_worst(found))]
    if telling:
        noise = "Speed: shown where the 95 % interval of the paired prompts excludes no change."
        basis = noise if any("tokens/s" in one.after for one in telling) else ""
        blocks.append(table("Changes", ["What", "Before", "Now"], [_line(one, names) for one in telling], basis))
    if rest:
        lines = table("What came along", ["What", "Before", "Now"], [_line(one, names) for one in rest])
        blocks.append(Fold(title=f"{plural(len(rest), 'change')} that came along", blocks=(lines,)))
    return Section(id="changes", title=title, blocks=tuple(blocks))


def _tells(change: Change, named: set[str]) -> bool:
    if change.what.startswith("package "):
        return change.what.removeprefix("package ") in named
    return _UNJUDGED not in (change.before, change.after)


def _line(change: Change, names: dict[str, str]) -> tuple[Cell, ...]:
    return row(Cell(text=names.get(change.what, change.what), mark=change.mark), change.before, change.after)


def _name(verdict: Verdict) -> str:
    title = verdict.title or verdict.id
    return title if verdict.backend == "machine" else f"{backend_title(verdict.backend)}: {title}"


def _summary(found: list[Change]) -> str:
    """How many packages, and which way the requirements went."""
    packages = sum(one.what.startswith("package ") for one in found)
    better = sum(one.after == "met" and one.before != _UNJUDGED for one in found)
    worse = sum(one.before == "met" and one.after not in ("met", _UNJUDGED) for one in found)
    said = [
        plural(packages, "package") if packages else "",
        f"{plural(better, 'requirement')} now met" if better else "",
        f"{plural(worse, 'requirement')} no longer met" if worse else "",
    ]
    return f"{plural(len(found), 'change')}" + (f": {listed([text for text in said if text])}." if any(said) else ".")


def _worst(found: list[Change]) -> Mark:
    marks = {one.mark for one in found}
    return "bad" if "bad" in marks else "good" if "good" in marks else "caution"


def changes_since(old: Subject, since: str, snapshot: Snapshot, judgement: Judgement) -> Changes:
    """What changed up to a check. A backend that only one of the two looks judged is left out: that tells nothing."""
    both = old.judgement.backends.keys() & judgement.backends.keys()
    found = changes(_only(old.snapshot, old.judgement, both), _only(snapshot, judgement, both))
    return Changes(since=since, found=tuple(found))


def _only(snapshot: Snapshot, judgement: Judgement, backends: Set[str]) -> Subject:
    """What two looks have in common to be compared: these backends, and what concerns all of them."""
    kept = msgspec.structs.replace(
        judgement,
        backends={name: state for name, state in judgement.backends.items() if name in backends},
        verdicts=tuple(v for v in judgement.verdicts if v.backend in backends or v.backend == "machine"),
    )
    return Subject(snapshot=snapshot, judgement=kept)


def changes(old: Subject, new: Subject) -> Iterator[Change]:
    """Differences in the order machine, packages, variables, backends, requirements, speed."""
    yield from _machine(old, new)
    yield from _packages(old, new)
    yield from _variables(old, new)
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
    a = None if before is None else {p.name: p.version for p in before}
    b = None if after is None else {p.name: p.version for p in after}
    yield from _entries("package", "packages", a, b, "not installed")


def _variables(old: Subject, new: Subject) -> Iterator[Change]:
    a, b = value_of(old.snapshot.environment), value_of(new.snapshot.environment)
    yield from _entries("variable", "environment variables", a, b, "not set")


def _entries(
    one: str, all_of_them: str, a: dict[str, str] | None, b: dict[str, str] | None, missing: str
) -> Iterator[Change]:
    """Differences of two tables by name; where only one of them was read that is said, and nothing is compared."""
    if a is None or b is None:
        if a is not b:
            said = ["not read" if table is None else "read" for table in (a, b)]
            yield Change(what=all_of_them, before=said[0], after=said[1], mark="unknown")
        return
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            yield Change(what=f"{one} {name}", before=a.get(name, missing), after=b.get(name, missing), mark="caution")


def _backends(old: Subject, new: Subject) -> Iterator[Change]:
    a, b = old.judgement.backends, new.judgement.backends
    for name in dict.fromkeys([*a, *b]):
        before = a[name].status if name in a else _UNJUDGED
        after = b[name].status if name in b else _UNJUDGED
        if before != after:
            yield _state(backend_title(name), before, after)


def _verdicts(old: Subject, new: Subject) -> Iterator[Change]:
    """What blocks or warns and did not, or does no longer; a requirement that came up and is met says nothing."""
    a = {verdict.id: verdict.status for verdict in old.judgement.verdicts if verdict.severity != "info"}
    for verdict in new.judgement.verdicts:
        if verdict.severity == "info":
            continue
        before = a.pop(verdict.id, _UNJUDGED)
        if before != verdict.status and (before, verdict.status) not in _SILENT:
            yield _state(verdict.id, before, verdict.status)
    for verdict_id, before in a.items():
        if (before, _UNJUDGED) not in _SILENT:
            yield _state(verdict_id, before, _UNJUDGED)


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
