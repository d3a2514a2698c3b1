"""The main job: look, judge, size, plan, prove, and compose the report of one machine.

Split from `api` because it is long work that shows progress and may be interrupted; a Ctrl-C keeps what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from envcheck import __version__, api
from envcheck.compose.checked import hopeless_backends
from envcheck.compose.report import compose
from envcheck.judge.selected import tables_for
from envcheck.main_options import (
    DRAFTS,
    again,
    alternatives_of,
    at_contexts,
    compared,
    in_a_format_of,
    planned,
    presets_of,
    with_four_bits,
)
from envcheck.schema.facts import value_of
from envcheck.schema.report import Header, Report, Subject
from envcheck.schema.run import Validation
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Intent

if TYPE_CHECKING:
    from envcheck.host import Host
    from envcheck.judge.policy import Policy

SIZES = ("3B", "7B", "13B", "30B")
"""The model sizes of a report's memory table."""

LARGER = ((96, "70B"), (512, "405B"))
"""Gibibytes of GPU memory from which on a report asks for a larger model too."""

Progress = Callable[[str], None]


def subject_of(
    snapshot: Snapshot,
    *,
    backends: Sequence[str] | None = None,
    policy: Policy | None = None,
    models: Sequence[str] | None = None,
    validation: Validation | None = None,
) -> Subject:
    """Everything that can be said about a machine without touching it (pure, given the validation)."""
    intent = Intent()
    judgement = api.judge(snapshot, intent, backends, policy)
    fits = api.fits(snapshot, intent, backends, models or sizes_for(snapshot))
    states = judgement.backends
    fits = tuple(in_a_format_of(snapshot, row) for row in fits)
    hopeless = hopeless_backends(judgement)
    fits = tuple(row for row in fits if row.backend not in hopeless) or fits
    chosen = compared(judgement, fits)
    options = with_four_bits(chosen, snapshot, judgement)
    plans = planned(snapshot, judgement, policy)
    is_ready = any(state.status == "ready" for state in states.values())
    best = None if is_ready else next((plan for plan in plans if plan.target and not plan.blocked), None)
    return Subject(
        snapshot=snapshot,
        judgement=judgement,
        fits=fits,
        plan=best,
        other_plans=tuple(plan for plan in plans if plan is not best),
        validation=validation,
        tables=tables_for(snapshot),
        presets=presets_of(snapshot, options),
        curves=tuple(found for row in chosen for found in at_contexts(snapshot, row)),
        parallel=tuple(found for row in options for found in again(snapshot, row, row.context, DRAFTS)),
        singles=tuple(options),
        alternatives=alternatives_of(snapshot, judgement),
        headroom_gib=policy.headroom_gib if policy else None,
    )


def sizes_for(snapshot: Snapshot) -> tuple[str, ...]:
    """The sizes to ask for: the usual ones, and larger ones where the GPUs together are made for them."""
    known = [value_of(gpu.memory_total_mib) for gpu in value_of(snapshot.gpus) or ()]
    together = sum(mib for mib in known if mib is not None) / 1024
    return (*SIZES, *(size for floor, size in LARGER if together >= floor))


def run(
    host: Host,
    header: Header,
    *,
    backends: Sequence[str] | None = None,
    policy: Policy | None = None,
    models: Sequence[str] | None = None,
    model: str | None = None,
    progress: Progress,
) -> Report:
    """Look at this machine, prove the best ready backend (else the embedded default), and report everything."""
    from envcheck.predictions import Expectations
    from envcheck.validate.run import validate

    progress("looking at the machine")
    snapshot = api.this_machine(host)
    progress("proving with real prompts")
    expectations = Expectations(host, snapshot)
    validation = validate(host, backends=backends, model=model, progress=progress, predict=expectations.of)
    validation = expectations.explained(validation)
    progress("composing the report")
    subject = subject_of(snapshot, backends=backends, policy=policy, models=models, validation=validation)
    return compose(subject, header)


def header(title: str | None, sprint: str, agent: str, timestamp: str, command: str) -> Header:
    """The report's header; every word comes from outside."""
    words = {"title": title} if title else {}
    return Header(sprint=sprint, agent=agent, timestamp=timestamp, version=__version__, command=command, **words)
