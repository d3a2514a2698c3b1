"""Help for the findings of this machine, and for nothing else: what a log would hold, and the way out."""

from __future__ import annotations

import tomllib
from functools import lru_cache

import msgspec

from envcheck.compose._cells import row, said_once, table
from envcheck.compose.checked import RELEASE, hopeless_backends
from envcheck.compose.compatibility import labels
from envcheck.resources import folder
from envcheck.schema.blocks import Cell, Section
from envcheck.schema.describe import backend_title, listed
from envcheck.schema.facts import value_of
from envcheck.schema.report import Subject
from envcheck.schema.verdict import Verdict

_SHORTEST = 14
"""Characters from which a sign is telling enough to look for in a log by eye."""
_INSTALLS = ("dependency_missing",)
"""Causes that the install plan does away with: nothing to look for in a log."""


class _Sign(msgspec.Struct):
    has: str
    confidence: str = "certain"


class _Remedy(msgspec.Struct):
    says: str


class Help(msgspec.Struct):
    """A cause of `requirements_matrix/causes/`: what programs print when they meet it, and the way out."""

    sources: list[str]
    checked: str
    remedy: _Remedy
    sign: list[_Sign]

    def sign_for(self, around: set[str]) -> str:
        """The most telling string of a log, in lower case as it is looked for, that is printed around here."""
        long = [sign for sign in self.sign if len(sign.has) >= _SHORTEST and _may_print(sign.has, around)]
        certain = [sign.has for sign in long if sign.confidence == "certain"]
        return next(iter([*certain, *(sign.has for sign in long)]), "")


_WORDS = {
    "torch": {"transformers", "vllm", "sglang", "tensorrt-llm"},
    "vllm": {"vllm"},
    "sglang": {"sglang"},
    "ollama": {"ollama"},
    "docker": {"machine"},
    "cuda": {"nvidia"},
    "nvidia": {"nvidia"},
    "hip": {"amd"},
    "rocm": {"amd"},
    "linux": {"windows", "macos"},
    "windows": {"windows"},
    "no module named": {"windows"},
}
"""Words of a log, to the backends, GPU vendors and operating systems around which they are printed."""


def _may_print(sign: str, around: set[str]) -> bool:
    return all(word not in sign or around & where for word, where in _WORDS.items())


def _around(backends: list[str], subject: Subject) -> set[str]:
    vendors = {gpu.vendor for gpu in value_of(subject.snapshot.gpus) or ()}
    family = value_of(subject.snapshot.os.family)
    usable = [name for name, state in subject.judgement.backends.items() if state.status != "blocked"]
    return {*(backends or usable), *vendors, *([family] if family else [])}


@lru_cache(maxsize=64)
def help_for(cause: str) -> Help | None:
    """What is known about a cause; None for a slug without a file."""
    path = folder("requirements_matrix") / "causes" / f"{cause}.toml"
    if not cause.replace("_", "").isalnum() or not path.is_file():
        return None
    with path.open("rb") as file:
        return msgspec.convert(tomllib.load(file), Help)


def troubleshooting_section(subject: Subject) -> Section | None:
    """One row per cause among the findings, with the backends it concerns; None without findings."""
    hopeless: set[str] = set()
    rows = []
    for cause, verdicts in _findings(subject).items():
        fresh = [verdict for verdict in verdicts if verdict.backend not in hopeless]
        if cells := _row(cause, fresh, subject) if fresh or not verdicts else None:
            rows.append(cells)
        hopeless |= {verdict.backend for verdict in fresh} & hopeless_backends(subject.judgement)
    if not rows:
        return None
    heads = ["Finding", "Concerns", "A log then holds", "Way out"]
    basis = "Table (causes; a source behind each finding). Only what was found on this machine or does not fit it."
    found = table("If it is tried all the same", heads, rows, basis)
    return Section(id="troubleshooting", title="Troubleshooting", blocks=(found,))


def _findings(subject: Subject) -> dict[str, list[Verdict]]:
    """Causes of what is not met or to be noted, the blocking ones first, then memory where models do not fit."""
    found: dict[str, list[Verdict]] = {}
    verdicts = sorted(subject.judgement.verdicts, key=lambda v: (v.status != "not_met", v.severity != "blocker"))
    for verdict in verdicts:
        if verdict.status in ("not_met", "warning") and verdict.cause and verdict.cause not in _INSTALLS:
            found.setdefault(verdict.cause, []).append(verdict)
    if any(fit.status in ("no", "offload") for fit in subject.fits):
        found.setdefault("gpu_memory_insufficient" if value_of(subject.snapshot.gpus) else _HOST, [])
    return found


_HOST = "host_resources_insufficient"
_SYSTEM = "os_or_arch_unsupported"


def _row(cause: str, verdicts: list[Verdict], subject: Subject) -> tuple[Cell, ...] | None:
    known = help_for(cause)
    if known is None:
        return None
    backends = list(dict.fromkeys(v.backend for v in verdicts))
    title = listed(list(dict.fromkeys(labels([v])[v.id] for v in verdicts))) or "Models that do not fit"
    concerns = listed([backend_title(name) for name in backends]) or _too_large(subject)
    only_noted = verdicts and all(verdict.severity == "info" for verdict in verdicts)
    # What an operating system lacks is printed there, not where a GPU is missing.
    elsewhere = cause == _SYSTEM and not any(".os." in verdict.id for verdict in verdicts)
    sign = "" if only_noted or elsewhere else known.sign_for(_around(backends, subject))
    return row(
        Cell(text=title, link=known.sources[0] if known.sources else ""),
        concerns,
        Cell(text=sign, code=True) if sign else Cell(text="–"),
        _way_out(verdicts, known, subject) if verdicts else _FEWER_BITS,
    )


_FEWER_BITS = "Take fewer bits per weight or a smaller model: what fits is under Memory requirements."


def _way_out(verdicts: list[Verdict], known: Help, subject: Subject) -> str:
    """Per backend what helps it: its remedy, an older release, another backend; else what the table says."""
    states, without_hope = subject.judgement.backends, hopeless_backends(subject.judgement)
    older = {
        v.backend: v.actual
        for v in subject.judgement.verdicts
        if v.id == f"{v.backend}.{RELEASE}" and v.status == "warning"
    }
    found: list[tuple[str, str]] = []
    hopeless: list[str] = []
    for verdict in verdicts:
        name = verdict.backend
        if name in older and verdict.severity == "blocker":
            text = f"{backend_title(name)}: take {older[name]}, the newest release that runs here."
            found.append(("", text))
        elif name in without_hope:
            hopeless.append(backend_title(name))
        elif verdict.remedy:
            found.append((backend_title(name), verdict.remedy.says))
    texts = said_once(found)
    if hopeless:
        runs = [backend_title(name) for name, state in states.items() if state.status not in ("blocked", "unknown")]
        other = f"; {listed(runs)} can run here" if runs else ""
        texts.append(f"{listed(list(dict.fromkeys(hopeless)))}: nothing on this machine mends it{other}.")
    longest = [text for text in texts if not any(text != other and other.startswith(text) for other in texts)]
    return " ".join(dict.fromkeys(longest)) or known.remedy.says


def _too_large(subject: Subject) -> str:
    models = [fit.model for fit in subject.fits if fit.status in ("no", "offload")]
    return listed(list(dict.fromkeys(models)))
