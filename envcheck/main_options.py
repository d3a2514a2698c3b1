"""What a report compares: one model per backend under presets, at growing contexts, three at a time; and the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from envcheck.fit.search import PRESETS
from envcheck.schema.facts import value_of
from envcheck.schema.fit import FitRow
from envcheck.schema.plan import Plan, Step
from envcheck.schema.report import PresetRow
from envcheck.schema.snapshot import Gpu, Snapshot
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
_BY_HAND = {"ollama": "ollama-client", "llama.cpp": "llama-cpp"}
"""Backends whose server comes with an installer of its makers, to the profile that states its steps."""


def compared(judgement: Judgement, fits: tuple[FitRow, ...]) -> tuple[FitRow, ...]:
    """Per usable backend the row to compare: of one model where that runs in every one of them, else its largest."""
    usable = [name for name, state in judgement.backends.items() if state.status in _USABLE]
    rows = {name: [r for r in fits if r.backend == name and r.status in _RUNS] for name in usable}
    rows = {name: found for name, found in rows.items() if found}
    shared = [r for r in fits if all(any(o.model == r.model for o in found) for found in rows.values())]
    model = max(shared, key=_size).model if shared else None
    return tuple(max([r for r in found if r.model == model] or found, key=_size) for found in rows.values())


_BFLOAT16 = Version("8.0")
"""Compute capability from which NVIDIA GPUs compute bfloat16
(https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/compute-capabilities.html)."""


def in_a_format_of(snapshot: Snapshot, row: FitRow) -> FitRow:
    """The row in the 16 bits that this machine's GPUs have: float16 where bfloat16 came later. It takes as much."""
    gpus = value_of(snapshot.gpus) or ()
    found = [value_of(gpu.compute_capability) for gpu in gpus if gpu.vendor == "nvidia"]
    older = any(one is not None and Version(one) < _BFLOAT16 for one in found)
    return msgspec.structs.replace(row, quant="fp16") if older and row.quant == "bf16" else row


ALTERNATIVES = ("Gemma-2-2B", "Mistral-7B", "Llama-3.1-8B", "Qwen3-8B", "Mixtral-8x7B", "Mixtral-8x22B")
"""Models that a team weighs against each other: small ones, and two mixtures of experts."""
_FOUR_BITS = {"ollama": ("Q4_K_M",), "vllm": ("awq", "gptq-int4")}
"""Backends of the comparison of four-bit weights, with their formats in the order in which they are tried."""


def alternatives_of(snapshot: Snapshot, judgement: Judgement) -> tuple[FitRow, ...]:
    """Other models in four bits, for the backends that can run here and have kernels for such weights."""
    from envcheck.api_fit import Question, fit_rows

    quants = {name: quant for name in _FOUR_BITS if (quant := four_bits(name, snapshot, judgement))}
    return tuple(
        row
        for model in ALTERNATIVES
        for name, quant in quants.items()
        for row in fit_rows(Question(models=(model,), backends=(name,), quants=(quant,)), snapshot)
    )


def four_bits(backend: str, snapshot: Snapshot, judgement: Judgement) -> str | None:
    """The four-bit format that a usable backend has kernels for on every GPU here; None where it has none."""
    state = judgement.backends.get(backend)
    if state is None or state.status not in _USABLE:
        return None
    gpus = value_of(snapshot.gpus) or ()
    return next((quant for quant in _FOUR_BITS.get(backend, ()) if _has_kernels(backend, quant, gpus)), None)


def _has_kernels(backend: str, quant: str, gpus: tuple[Gpu, ...]) -> bool:
    """False where the table of kernels puts the format's floor above a GPU, or a GPU's generation is unknown."""
    from envcheck.judge.tables import kernel_row

    row = kernel_row(backend, "quantization", quant.partition("-")[0], None)
    if row is None:
        return True
    found = [value_of(gpu.compute_capability) for gpu in gpus if gpu.vendor == "nvidia"]
    floor = Version(row.min_compute_capability)
    return all(one is not None and Version(one) >= floor for one in found)


def with_four_bits(rows: tuple[FitRow, ...], snapshot: Snapshot, judgement: Judgement) -> tuple[FitRow, ...]:
    """The compared rows, each in 16 bits followed by the same model in the four-bit format of its backend."""
    found: list[FitRow] = []
    for row in rows:
        found.append(row)
        quant = four_bits(row.backend, snapshot, judgement)
        if quant is not None and quant != row.quant:
            again_in_four = again(snapshot, msgspec.structs.replace(row, quant=quant), row.context)
            found += [one for one in again_in_four if one.status in _RUNS]
    return tuple(found)


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


def planned(snapshot: Snapshot, judgement: Judgement, policy: Policy | None) -> tuple[Plan, ...]:
    """What installing each backend that can run here and is not known to be there would do, the best-suited first.

    Decided without the network. The steps are the ones a person can paste; a backend with an installer of its own has
    only such steps and no target.
    """
    states = judgement.backends
    ranked = [
        name
        for group in (_PROFILES, _BY_HAND)
        for state in _USABLE
        for name in group
        if name in states and states[name].status == state
    ]
    found = [_plan(name, snapshot, judgement, policy) for name in ranked]
    return tuple(plan for plan in found if plan is not None)


def _plan(name: str, snapshot: Snapshot, judgement: Judgement, policy: Policy | None) -> Plan | None:
    """The plan for one backend; None where it is there."""
    from envcheck.install import uv
    from envcheck.installing import Wanted, prepare

    if name not in _PROFILES:
        if _is_there(name, judgement):
            return None
        prepared = prepare(snapshot, Wanted(profiles=(_BY_HAND[name],)), policy)
        return msgspec.structs.replace(
            prepared.plan, profile=_BY_HAND[name], steps=tuple(s for s in prepared.plan.steps if s.manual)
        )
    lacking = {v.backend for v in judgement.verdicts if v.status == "not_met" and v.fixed_by_install}
    if name not in lacking or _needs_own_build(name, judgement):
        return None
    target = f".envs/{name}"
    prepared = prepare(snapshot, Wanted(profiles=(name,)), policy)
    choice = prepared.decided.choice
    place = "Scripts/python.exe" if value_of(snapshot.os.family) == "windows" else "bin/python"
    indexes = uv.by_hand(choice.indexes, uv.torch_arguments(choice.torch_backend, choice.torch_index))
    argv = ("uv", "pip", "install", "--python", f"{target}/{place}", *indexes)
    steps = (
        Step(argv=("uv", "venv", target), says="an environment of its own"),
        Step(argv=(*argv, *choice.requirements), says="the versions decided on"),
    )
    return msgspec.structs.replace(prepared.plan, target=target, steps=() if prepared.plan.blocked else steps)


def _needs_own_build(name: str, judgement: Judgement) -> bool:
    """Whether the usual wheel does not serve this accelerator: the judge's remedy names the build that does."""
    return any(
        v.id == f"{name}.device.accelerator" and v.status == "warning" and v.remedy and v.remedy.commands
        for v in judgement.verdicts
    )


def _is_there(name: str, judgement: Judgement) -> bool:
    return any(v.id == f"{name}.backend.installed" and v.status == "met" for v in judgement.verdicts)
