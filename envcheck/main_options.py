"""What a report compares: one model per backend under presets, at growing contexts, three at a time; and the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from envcheck.fit.search import PRESETS
from envcheck.schema.facts import value_of
from envcheck.schema.fit import FitRow
from envcheck.schema.plan import Plan, Step
from envcheck.schema.report import PresetRow
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Judgement

if TYPE_CHECKING:
    from envcheck.judge.policy import Policy

DRAFTS = 3
"""Requests at a time beside a single one: "a single query and three drafts"."""
CONTEXTS = (2048, 4096, 8192, 16384, 32768, 65536, 131072)
_USABLE = ("ready", "ready_after_install", "limited")
_RUNS = ("fits", "tight")
_PROFILES = ("transformers", "vllm", "sglang")
"""Profiles whose build of PyTorch is to be decided; on equal readiness the earlier asks less of the machine."""


def compared(judgement: Judgement, fits: tuple[FitRow, ...]) -> tuple[FitRow, ...]:
    """Per usable backend the row to compare: of one model where that runs in every one of them, else its largest."""
    usable = [name for name, state in judgement.backends.items() if state.status in _USABLE]
    rows = {name: [r for r in fits if r.backend == name and r.status in _RUNS] for name in usable}
    rows = {name: found for name, found in rows.items() if found}
    shared = [r for r in fits if all(any(o.model == r.model for o in found) for found in rows.values())]
    model = max(shared, key=_size).model if shared else None
    return tuple(max([r for r in found if r.model == model] or found, key=_size) for found in rows.values())


def _size(row: FitRow) -> float:
    return row.params_b or 0.0


def again(
    snapshot: Snapshot, row: FitRow, context: int, concurrency: int = 1, preset: str | None = None
) -> tuple[FitRow, ...]:
    """The same model, backend and quantization under other settings."""
    from envcheck.api_fit import Question, fit_rows

    question = Question(
        models=(row.model,),
        backends=(row.backend,),
        quants=(row.quant,),
        context=context,
        context_asked=True,
        concurrency=concurrency,
        preset=preset,
    )
    return fit_rows(question, snapshot)


def at_contexts(snapshot: Snapshot, row: FitRow) -> tuple[FitRow, ...]:
    """The row from 2k tokens on, doubled up to the longest context that fits, that one last."""
    longest = row.max_context or row.context
    lengths = [length for length in CONTEXTS if length < longest]
    return tuple(found for length in (*lengths, longest) for found in again(snapshot, row, length))


def presets_of(snapshot: Snapshot, chosen: tuple[FitRow, ...]) -> tuple[PresetRow, ...]:
    """Every preset for every row that is compared."""
    return tuple(
        PresetRow(name=name, row=found)
        for row in chosen
        for name in PRESETS
        for found in again(snapshot, row, row.context, preset=name)
    )


def planned(snapshot: Snapshot, judgement: Judgement, policy: Policy | None) -> Plan | None:
    """What installing the best-suited backend that is missing would do; None where one is ready or none can be.

    Decided without the network. The steps are the ones a person can paste.
    """
    from envcheck.installing import Wanted, prepare

    states = {name: judgement.backends[name].status for name in _PROFILES if name in judgement.backends}
    wanted = [name for state in _USABLE for name in _PROFILES if states.get(name) == state]
    if not wanted or states[wanted[0]] == "ready":
        return None
    lacks = {v.backend for v in judgement.verdicts if v.status == "not_met" and v.fixed_by_install}
    if wanted[0] not in lacks:
        return None
    name, target = wanted[0], f".envs/{wanted[0]}"
    prepared = prepare(snapshot, Wanted(profiles=(name,)), policy)
    choice = prepared.decided.choice
    place = "Scripts/python.exe" if value_of(snapshot.os.family) == "windows" else "bin/python"
    torch = ("--torch-backend", choice.torch_backend) if choice.torch_backend else ()
    argv = ("uv", "pip", "install", "--python", f"{target}/{place}", *torch)
    steps = (
        Step(argv=("uv", "venv", target), says="an environment of its own"),
        Step(argv=(*argv, *choice.requirements), says="the versions decided on"),
    )
    return msgspec.structs.replace(prepared.plan, target=target, steps=() if prepared.plan.blocked else steps)
