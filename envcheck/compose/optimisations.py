"""Which optimisation strategies apply to this machine, and why the others do not."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from typing import Literal

import msgspec

from envcheck.compose._cells import row, table
from envcheck.resources import folder
from envcheck.schema.blocks import Block, Cell, Fold, Points, Section
from envcheck.schema.describe import backend_title, gib, listed
from envcheck.schema.facts import Absent, Record, Unknown, is_known
from envcheck.schema.report import Subject
from envcheck.schema.snapshot import Gpu

Needs = Literal["gpu", "no_gpu", "several_gpus", "offload", "spare_memory", "wsl", "apple"]
_SPELLINGS = {"llamacpp": "llama.cpp", "llama_cpp": "llama.cpp"}
_SPARE_MIB = 2048.0
"""Room that a small draft model with its cache needs (assumed; a 0.5B model in 4 bits takes about 0.5 GiB)."""


class Strategy(Record, kw_only=True):
    """A row of `requirements_matrix/optimisations.toml`."""

    name: str
    gives: str
    how: dict[str, str]
    """Backend, or "any", to what to set."""
    needs: Needs | None = None
    min_compute_capability: str | None = None
    source: str
    checked: str


class _Table(Record):
    strategy: tuple[Strategy, ...]


class Finding(Record):
    """Whether a strategy applies (None: unknown), and why."""

    applies: bool | None
    because: str


@lru_cache(maxsize=1)
def strategies() -> tuple[Strategy, ...]:
    """Every row of the table."""
    with (folder("requirements_matrix") / "optimisations.toml").open("rb") as file:
        return msgspec.convert(tomllib.load(file), _Table).strategy


def optimisations_section(subject: Subject) -> Section:
    """The strategies that apply with how to switch them on here; the others with the reason."""
    found = [(strategy, applicability(strategy, subject)) for strategy in strategies()]
    applying = [(strategy, why) for strategy, why in found if why.applies]
    blocks: list[Block] = []
    if applying:
        rows = [
            row(Cell(text=strategy.name, link=strategy.source), strategy.gives, _how(strategy, subject), why.because)
            for strategy, why in applying
        ]
        checked = max(strategy.checked for strategy, _ in applying)
        basis = f"Table (address behind each name, checked {checked}); conditions are calculated from this machine."
        blocks.append(
            table("Strategies that apply here", ["Strategy", "Gives", "How here", "Why it applies"], rows, basis)
        )
    others = _others(found)
    if others:
        blocks.append(Fold(title="What does not apply here, and why", blocks=(Points(items=others),)))
    return Section(id="optimisations", title="Optimisation strategies", blocks=tuple(blocks))


def applicability(strategy: Strategy, subject: Subject) -> Finding:
    """Judge one strategy: hardware first, then whether a backend that has it can run."""
    reasons = []
    if strategy.min_compute_capability is not None:
        found = _capability(strategy.min_compute_capability, subject)
        if not found.applies:
            return found
        reasons.append(found.because)
    if strategy.needs is not None:
        found = _need(strategy.needs, subject)
        if not found.applies:
            return found
        reasons.append(found.because)
    backends = _backends(strategy, subject)
    if not backends and "any" not in strategy.how:
        titles = listed(sorted({backend_title(name) for name in strategy.how}))
        return Finding(applies=False, because=f"{titles} cannot run here")
    return Finding(applies=True, because="; ".join(reasons) or "on any hardware")


def _backends(strategy: Strategy, subject: Subject) -> dict[str, str]:
    """Backends that can run here, to what to set in them."""
    states = subject.judgement.backends
    possible = [name for name, state in states.items() if state.status != "blocked"]
    return {name: strategy.how[key] for name in possible if (key := _SPELLINGS.get(name, name)) in strategy.how}


def _how(strategy: Strategy, subject: Subject) -> str:
    if "any" in strategy.how:
        return strategy.how["any"]
    return "; ".join(f"{backend_title(name)}: {text}" for name, text in _backends(strategy, subject).items())


def _others(found: list[tuple[Strategy, Finding]]) -> tuple[Cell, ...]:
    """One line per reason: strategies that fall for the same reason stand together."""
    grouped: dict[tuple[bool | None, str], list[str]] = {}
    for strategy, why in found:
        if not why.applies:
            grouped.setdefault((why.applies, why.because), []).append(strategy.name)
    return tuple(
        Cell(
            text=f"{listed(names)}: {'unknown, because ' if applies is None else ''}{because}.",
            mark="unknown" if applies is None else "skipped",
        )
        for (applies, because), names in grouped.items()
    )


def _gpus(subject: Subject) -> tuple[Gpu, ...] | Finding:
    gpus = subject.snapshot.gpus
    if isinstance(gpus, Unknown):
        return Finding(applies=None, because=f"the GPU is unknown ({gpus.why})")
    if isinstance(gpus, Absent) or not gpus.value:
        return Finding(applies=False, because="there is no GPU")
    return gpus.value


def _capability(floor: str, subject: Subject) -> Finding:
    gpus = _gpus(subject)
    if isinstance(gpus, Finding):
        return gpus
    known = [gpu.compute_capability.value for gpu in gpus if is_known(gpu.compute_capability)]
    if not known:
        vendors = listed(sorted({gpu.vendor for gpu in gpus}))
        if "nvidia" in vendors:
            return Finding(applies=None, because="the compute capability is unknown")
        return Finding(applies=False, because=f"the condition is about NVIDIA GPUs, and this one is from {vendors}")
    best = max(known, key=_pair)
    holds = _pair(best) >= _pair(floor)
    return Finding(applies=holds, because=f"compute capability {best} {'≥' if holds else '<'} {floor}")


def _pair(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _need(needs: Needs, subject: Subject) -> Finding:
    match needs:
        case "gpu" | "no_gpu" | "several_gpus" | "apple":
            return _device_need(needs, subject)
        case "wsl":
            wsl = subject.snapshot.os.wsl
            if isinstance(wsl, Unknown):
                return Finding(applies=None, because="nobody could say whether this is WSL")
            inside = is_known(wsl) and wsl.value
            return Finding(applies=inside, because="this is WSL" if inside else "this is not WSL")
        case "offload":
            models = [f"{fit.model} {fit.quant}" for fit in subject.fits if fit.status == "offload"]
            if not subject.fits:
                return Finding(applies=None, because="no fit was calculated")
            because = f"{listed(models[:3])} would need it" if models else "no model asked for needs it"
            return Finding(applies=bool(models), because=because)
        case "spare_memory":
            return _room(subject)


def _device_need(needs: Needs, subject: Subject) -> Finding:
    gpus = _gpus(subject)
    if isinstance(gpus, Finding):
        if needs == "no_gpu":
            return Finding(applies=None if gpus.applies is None else True, because=gpus.because)
        return gpus
    if needs == "no_gpu":
        return Finding(applies=False, because="there is a GPU, and it is faster")
    if needs == "apple":
        apple = any(gpu.vendor == "apple" for gpu in gpus)
        return Finding(applies=apple, because="Apple silicon" if apple else "this is not Apple silicon")
    if needs == "several_gpus":
        alike = len({gpu.name.value if is_known(gpu.name) else "" for gpu in gpus}) == 1
        if len(gpus) < 2:
            return Finding(applies=False, because="there is one GPU")
        return Finding(applies=alike, because=f"{len(gpus)} {'equal' if alike else 'different'} GPUs")
    return Finding(applies=True, because="there is a GPU")


def _room(subject: Subject) -> Finding:
    """Whether some model that fits leaves room for a draft model beside it."""
    rows = [(fit, fit.memory_mib) for fit in subject.fits if fit.status == "fits" and fit.memory_mib is not None]
    if not subject.fits:
        return Finding(applies=None, because="no fit was calculated")
    if not rows:
        return Finding(applies=False, because="nothing fits with room")
    fit, memory = max(rows, key=lambda pair: pair[1].headroom)
    label = f"{fit.model} {fit.quant} in {backend_title(fit.backend)}"
    if memory.headroom >= _SPARE_MIB:
        return Finding(applies=True, because=f"{label} leaves {gib(memory.headroom)} free")
    return Finding(
        applies=False, because=f"no model leaves room for it (most: {label}, {gib(max(memory.headroom, 0))})"
    )
