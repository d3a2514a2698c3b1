"""The acceptance checklist: what has to be shown before anybody calls the machine ready, and what has been."""

from __future__ import annotations

from envcheck.compose._cells import row, table
from envcheck.compose.choices import usable_backends
from envcheck.compose.locality import is_loopback
from envcheck.compose.overview import proven_runs
from envcheck.schema.blocks import Cell, Mark, Section
from envcheck.schema.describe import backend_title, listed, plural
from envcheck.schema.report import Subject
from envcheck.schema.run import Reconciled, Run
from envcheck.schema.verdict import Verdict

_Line = tuple[str, tuple[Mark, str], str]
"""Criterion, state, and what shows it."""
_OPEN: tuple[Mark, str] = ("unknown", "open")
_DONE: tuple[Mark, str] = ("good", "done")
_FAILED: tuple[Mark, str] = ("bad", "not met")


def acceptance_section(subject: Subject) -> Section:
    """One row per criterion, with what shows it; what was not measured is open, never done."""
    found: list[_Line | None] = [_ready(subject), *_policy(subject), _answers(subject), _device(subject)]
    found += [_memory(subject), _speed(subject), _services(subject), _local(subject)]
    rows = [
        row(criterion, Cell(text=word, mark=mark), shown)
        for criterion, (mark, word), shown in (line for line in found if line is not None)
    ]
    heads = ["Criterion", "State", "Shown by"]
    return Section(id="acceptance", title="Acceptance checklist", blocks=(table("Acceptance", heads, rows),))


def _ready(subject: Subject) -> _Line:
    states = subject.judgement.backends
    ready = [backend_title(name) for name, state in states.items() if state.status == "ready"]
    if ready:
        return "A backend meets every requirement", _DONE, f"envcheck check: {listed(ready)}"
    if usable_backends(subject):
        return "A backend meets every requirement", _OPEN, "envcheck check, after the install"
    return "A backend meets every requirement", _FAILED, "envcheck check: every backend is blocked or unknown"


def _policy(subject: Subject) -> list[_Line]:
    policy = [v for v in subject.judgement.verdicts if v.id.startswith("policy.")]
    rules = [v for v in policy if not v.id.startswith("policy.waiver.")]
    if not rules:
        return []
    broken = [_title(v) for v in rules if v.status == "not_met"]
    unknown = [_title(v) for v in rules if v.status == "unknown"]
    state = _FAILED if broken else _OPEN if unknown else _DONE
    shown = "every rule is met"
    if broken or unknown:
        shown = f"not met: {listed(broken)}" if broken else f"unknown: {listed(unknown)}"
    return [("The project's critical settings hold", state, shown)]


def _title(verdict: Verdict) -> str:
    return verdict.title or verdict.id


def _answers(subject: Subject) -> _Line:
    what = "A backend of the machine answers real prompts"
    runs = proven_runs(subject)
    if runs:
        return what, _DONE, listed([f"{backend_title(run.backend)} with {run.model}" for run in runs])
    if any(run.status == "failed" for run in _own(subject)):
        return what, _FAILED, "the runs under Measured results"
    return what, _OPEN, "envcheck run"


def _own(subject: Subject) -> list[Run]:
    return [run for run in (subject.validation.runs if subject.validation else ()) if not run.is_fallback]


def _device(subject: Subject) -> _Line:
    what = "Its layers run on the expected device"
    runs = proven_runs(subject)
    wrong = [run for run in runs if run.device_used != run.device_expected]
    if wrong:
        return what, _FAILED, listed([f"{backend_title(run.backend)} ran on {run.device_used}" for run in wrong])
    if runs:
        return what, _DONE, listed([f"{backend_title(run.backend)}: {run.device_used}" for run in runs])
    return what, _OPEN, "envcheck run; the answer names the device"


def _memory(subject: Subject) -> _Line:
    return _within(subject, "memory", "Memory as predicted")


def _speed(subject: Subject) -> _Line:
    return _within(subject, "decode speed", "Decode speed as predicted")


def _within(subject: Subject, quantity: str, what: str) -> _Line:
    items = [item for run in proven_runs(subject) for item in run.reconciled if item.quantity == quantity]
    judged = [found for item in items if (found := inside(item)) is not None]
    if not judged:
        return what, _OPEN, "third phase of the benchmark plan"
    outside = judged.count(False)
    shown = f"{plural(outside, 'run')} of {len(judged)} outside its band" if outside else "every run inside its band"
    return what, _FAILED if outside else _DONE, f"{shown} (Measured results)"


def inside(item: Reconciled) -> bool | None:
    """Whether what was measured lies in the predicted band; None where one of the two is missing."""
    low, high, measured = item.predicted_low, item.predicted_high, item.measured
    return None if low is None or high is None or measured is None else low <= measured <= high


def _services(subject: Subject) -> _Line | None:
    if not usable_backends(subject):
        return None
    return "32 requests, 8 at a time, all return 200", _OPEN, "fourth phase of the benchmark plan"


def _local(subject: Subject) -> _Line:
    what = "Prompts stay on the machine"
    asked = [run for run in (subject.validation.runs if subject.validation else ()) if run.prompts]
    if any(run.url and not is_loopback(run.url) for run in asked):
        return what, _FAILED, "Local only"
    return (what, _DONE, "Local only") if asked else (what, _OPEN, "envcheck run; then Local only")
