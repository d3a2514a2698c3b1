"""The document of `envcheck check`, and what to do first."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from envcheck.schema.describe import backend_title, listed
from envcheck.schema.fit import FitRow
from envcheck.schema.report import Action, Changes, CheckDocument
from envcheck.schema.run import Validation
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import CHAIN, Judgement, Remedy, Verdict

_WEIGHT = {"blocker": 0, "warning": 1, "info": 2}
_RISK = {"safe": 0, "restart": 1, "risky": 2}
_ALL_BACKENDS = 1_000
_WANTED_FIRST = ("vllm", "transformers", "llama.cpp", "sglang", "ollama", "tensorrt-llm")
"""Among equals: the backends that most people come for."""
_PROFILES = {"vllm": "vllm", "transformers": "transformers", "llama.cpp": "llama-cpp", "sglang": "sglang"}
"""Backends that `envcheck install` installs, and its names for them."""
RELEASE = "backend.release"
"""End of the id of the verdict that an older release than the newest is the one that runs here."""
OWN_BUILD = "device.accelerator"
"""End of the id of the verdict that the accelerator is one of those the usual build serves."""
INSTALLED = "backend.installed"
"""End of the id of the verdict that the backend is installed."""


def check_document(
    snapshot: Snapshot, judgement: Judgement, fits: Sequence[FitRow] = (), changes: Changes | None = None
) -> CheckDocument:
    """Put the stages' answers into the document that `envcheck check` prints. Keeps the judge's order of verdicts."""
    return CheckDocument(
        machine=snapshot,
        worst=judgement.worst,
        backends=judgement.backends,
        verdicts=judgement.verdicts,
        fit=tuple(fits),
        first=first_action(judgement),
        changes=changes,
    )


def first_action(judgement: Judgement, validation: Validation | None = None) -> Action | None:
    """What to do first: prove what is ready, else the most useful remedy; None when no remedy is known or needed."""
    ready = ready_to_prove(judgement, validation)
    if ready:
        ready.sort(key=_rank)
        titles = listed([backend_title(name) for name in ready])
        command = shlex.join(["envcheck", "run", *(word for name in ready for word in ("--backend", name))])
        word = "ready" if any(judgement.backends[name].status == "ready" for name in ready) else "installed"
        return Action(says=f"Prove with real prompts what is {word} ({titles}).", commands=(command,))
    most_useful = next(iter(actions(judgement)), None)
    if most_useful is None:
        return _install_action(judgement)
    return _whole_install(most_useful, judgement) or most_useful


def _whole_install(action: Action, judgement: Judgement) -> Action | None:
    """The install of a whole backend in place of one of its packages, where nothing of it is there yet."""
    of = {verdict.id: verdict for verdict in judgement.verdicts}
    served = [of[name] for name in action.serves]
    backend = served[0].backend
    installed = of.get(f"{backend}.{INSTALLED}")
    if backend not in _PROFILES or installed is None or installed.status != "not_met":
        return None
    if not all(verdict.fixed_by_install and verdict.backend == backend for verdict in served):
        return None
    lacking = [
        v.id for v in judgement.verdicts if v.backend == backend and v.fixed_by_install and v.status == "not_met"
    ]
    says = f"Install {backend_title(backend)} with what it needs, in an environment of its own."
    return Action(says=says, commands=(f"envcheck install {_PROFILES[backend]}",), serves=tuple(lacking))


def _install_action(judgement: Judgement) -> Action | None:
    """Where nothing is known to be wrong: install one of the backends that nothing stands in the way of."""
    waiting = [name for name, state in judgement.backends.items() if state.status == "ready_after_install"]
    profile = next((_PROFILES[name] for name in _WANTED_FIRST if name in waiting and name in _PROFILES), None)
    if profile is None:
        return None
    says = f"Install one of what runs here: {listed([backend_title(name) for name in waiting])}."
    return Action(says=says, commands=(f"envcheck install {profile}",))


def ready_to_prove(judgement: Judgement, validation: Validation | None = None) -> list[str]:
    """Backends that are ready; where none is, those that are there and work with limits.

    Without those that `validation` has tried, or found nothing of that could be asked.
    """
    return [name for name in there(judgement) if name not in _tried(validation)]


def there(judgement: Judgement) -> list[str]:
    """Backends that are ready; where none is, those that are there and work with limits."""
    states = judgement.backends
    ready = [name for name, state in states.items() if state.status == "ready"]
    installed = {v.backend for v in judgement.verdicts if v.id == f"{v.backend}.{INSTALLED}" and v.status == "met"}
    lacking = {v.backend for v in judgement.verdicts if v.status == "not_met" and v.fixed_by_install}
    return ready or [name for name in states if states[name].status == "limited" and name in installed - lacking]


def _tried(validation: Validation | None) -> set[str]:
    if validation is None:
        return set()
    return {run.backend for run in validation.runs if not run.interrupted} | set(validation.unready)


def actions(judgement: Judgement) -> tuple[Action, ...]:
    """Every remedy once, most useful first.

    A remedy that cannot get its backend to run is left out (`helps_of`). What blocks comes before what warns. Where a
    backend can run after safe steps, safe steps come first; where none can, what helps the most backends does (the
    machine concerns all). Advice without a command comes after commands; then the earlier link of the chain comes
    first. One remedy that several verdicts share is one action.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Verdict]] = {}
    helps = helps_of(judgement)
    for verdict in judgement.verdicts:
        if verdict.remedy is not None and verdict.status in ("not_met", "warning", "unknown") and helps(verdict):
            # What a backend adds after the same first sentence does not make it another thing to do.
            key = (verdict.remedy.says.partition(". ")[0].rstrip("."), verdict.remedy.commands)
            groups.setdefault(key, []).append(verdict)
    stuck = all(state.status in ("blocked", "unknown") for state in judgement.backends.values())
    installed = {v.backend for v in judgement.verdicts if v.id == f"{v.backend}.{INSTALLED}" and v.status == "met"}
    ordered = sorted(groups.values(), key=lambda group: _urgency(group, installed, stuck=stuck))
    return tuple(_action(group) for group in ordered)


def helps_of(judgement: Judgement) -> Callable[[Verdict], bool]:
    """Whether a verdict's remedy gets its backend further.

    Not where the backend's first broken link is the hardware and no command mends it (a GPU that is too old): nothing
    later does either. Of a blocked backend only what its first broken link needs: the rest is judged once that holds.
    And where only an older release runs here, what the newest one lacks needs no mending, only that release.
    """
    broken, hopeless = _first_broken(judgement), hopeless_backends(judgement)
    older = {v.backend for v in judgement.verdicts if v.id == f"{v.backend}.{RELEASE}" and v.status == "warning"}

    # Where the machine needs a build of its own, the usual one is not to be installed beside it.
    own = {
        v.backend
        for v in judgement.verdicts
        if v.id == f"{v.backend}.{OWN_BUILD}" and v.status == "warning" and v.remedy and v.remedy.commands
    }

    def answer(verdict: Verdict) -> bool:
        first = broken.get(verdict.backend)
        if first is not None and CHAIN.index(verdict.link) > CHAIN.index(first.link):
            return False
        if verdict.backend in hopeless or (verdict.backend in own and verdict.id == f"{verdict.backend}.{INSTALLED}"):
            return False
        if verdict.backend in older and verdict.id == f"{verdict.backend}.{OWN_BUILD}":
            return False
        if verdict.backend not in older or verdict.status != "not_met":
            return True
        return verdict.fixed_by_install and verdict.id != f"{verdict.backend}.{INSTALLED}"

    return answer


def hopeless_backends(judgement: Judgement) -> set[str]:
    """Backends that nothing on this machine can mend: their first broken link is hardware that is not there."""
    return {name for name, verdict in _first_broken(judgement).items() if not _can_be_mended(verdict)}


def _first_broken(judgement: Judgement) -> dict[str, Verdict]:
    of = {verdict.id: verdict for verdict in judgement.verdicts}
    return {
        name: of[state.first_broken]
        for name, state in judgement.backends.items()
        if state.status == "blocked" and state.first_broken in of
    }


def _can_be_mended(verdict: Verdict) -> bool:
    return verdict.remedy is not None and (bool(verdict.remedy.commands) or verdict.link != "device")


def _urgency(group: list[Verdict], installed: set[str], *, stuck: bool) -> tuple[int, ...]:
    weight = min(_weight(v, installed) for v in group)
    backends = {v.backend for v in group}
    wanted = min(map(_rank, backends))
    breadth = _ALL_BACKENDS if "machine" in backends else len(backends)
    risk = min(_RISK[_remedy(v).risk] for v in group)
    middle = (-breadth, risk) if stuck else (risk, -breadth)
    words_only = int(not _remedy(group[0]).commands)
    elsewhere = int(bool(installed) and not backends & (installed | {"machine"}))
    return weight, words_only, elsewhere, *middle, min(CHAIN.index(v.link) for v in group), wanted


def _rank(backend: str) -> int:
    return _WANTED_FIRST.index(backend) if backend in _WANTED_FIRST else len(_WANTED_FIRST)


def _weight(verdict: Verdict, installed: set[str]) -> int:
    """What blocks before what warns; that another release of an installed backend runs here mends what blocks it."""
    if verdict.id == f"{verdict.backend}.{RELEASE}" and verdict.backend in installed:
        return _WEIGHT["blocker"]
    return _WEIGHT[verdict.severity] if verdict.status == "not_met" else 1 + _WEIGHT[verdict.severity]


def _action(group: list[Verdict]) -> Action:
    remedy = max((_remedy(verdict) for verdict in group), key=lambda one: len(one.says))
    return Action(
        says=remedy.says,
        commands=remedy.commands,
        risk=remedy.risk,
        needs_root=remedy.needs_root,
        serves=tuple(v.id for v in group),
    )


def _remedy(verdict: Verdict) -> Remedy:
    if verdict.remedy is None:
        raise ValueError(f"verdict {verdict.id} has no remedy")
    return verdict.remedy
