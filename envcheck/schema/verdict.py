"""What the judge says: requirement + snapshot = verdict; a pasted report = findings."""

from __future__ import annotations

from typing import Literal

from envcheck.schema.facts import Observation, Record

Status = Literal["met", "warning", "not_met", "unknown", "skipped", "waived"]
Severity = Literal["blocker", "warning", "info"]
Confidence = Literal["certain", "likely", "possible"]
Readiness = Literal["ready", "ready_after_install", "limited", "blocked", "unknown"]
Link = Literal["device", "driver", "runtime", "wheel", "backend", "model", "prompt"]
"""The chain a verdict hangs in: what comes first must hold before what comes later can mean anything."""

Scope = Literal["setting", "new_environment", "this_environment", "system", "driver", "hardware"]
"""What a remedy changes: a variable or option of the start, an environment of its own, the packages of this one,
programs and services of the machine, the GPU's driver, the machine itself."""

SCOPES: tuple[Scope, ...] = ("setting", "new_environment", "this_environment", "system", "driver", "hardware")
"""From what is undone by the next start to what costs a new machine: the order in which ways out are named."""

CHAIN: tuple[Link, ...] = ("device", "driver", "runtime", "wheel", "backend", "model", "prompt")


class Remedy(Record, omit_defaults=False):
    """What to do about it, with the risk of doing it."""

    says: str
    commands: tuple[str, ...] = ()
    risk: Literal["safe", "restart", "risky"] = "safe"
    needs_root: bool = False
    scope: Scope | None = None
    """What it changes; None where the remedy is advice that names no change."""


class Verdict(Record, omit_defaults=False):
    """One requirement judged against one snapshot; everything a format needs to show it."""

    id: str
    """Stable, dotted: "vllm.gpu.compute_capability"."""
    backend: str
    """A backend's name, or "machine" for what concerns all of them."""
    status: Status
    severity: Severity
    says: str
    """One sentence for a person."""
    link: Link = "backend"
    cause: str | None = None
    """A slug of the root-cause vocabulary."""
    expected: str = ""
    actual: str = ""
    evidence: tuple[Observation, ...] = ()
    source: str = ""
    """Address of the fact the requirement rests on."""
    checked: str = ""
    """ISO date on which that fact was last checked against its source."""
    remedy: Remedy | None = None
    """The first of the ways out."""
    ways_out: tuple[Remedy, ...] = ()
    """Every way out that is known, what changes least first (`SCOPES`); empty where the requirement is met."""
    requires: tuple[str, ...] = ()
    skipped_because: str | None = None
    fixed_by_install: bool = False
    """True where installing packages into the target environment is enough to meet it."""
    title: str = ""
    """A few words for the first column of a table ("CUDA driver")."""


class BackendState(Record, omit_defaults=False):
    """One backend's line in the summary."""

    status: Readiness
    why: str
    first_broken: str | None = None


class Judgement(Record, omit_defaults=False):
    """All verdicts about one machine, in chain order, with the state of each backend."""

    worst: Literal["met", "warning", "not_met", "unknown"]
    backends: dict[str, BackendState]
    verdicts: tuple[Verdict, ...]


class Quote(Record):
    """A line of a pasted text that a finding rests on; lines count from 1."""

    line: int
    text: str


class Finding(Record, omit_defaults=False):
    """A cause found in a pasted environment or this machine."""

    cause: str
    severity: Severity
    says: str
    evidence: tuple[Quote, ...] = ()
    remedy: Remedy | None = None
    confidence: Confidence = "likely"


class Intent(Record):
    """What somebody tried, or wants, to run."""

    backend: str | None = None
    model: str | None = None
    quantization: str | None = None
    flags: tuple[str, ...] = ()
    context: int | None = None
    concurrency: int | None = None
