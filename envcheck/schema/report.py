"""The two documents that formats render: what `check` says, and the report a team reads.

Both are complete: a format lays them out and decides nothing. JSON of either, decoded and encoded again, is identical.
`SCHEMA_VERSION` changes when a key is removed or changes its meaning; adding keys does not change it.
"""

from __future__ import annotations

from typing import Literal

from envcheck.schema.blocks import Mark, Section
from envcheck.schema.facts import Record
from envcheck.schema.fit import FitRow
from envcheck.schema.plan import Plan
from envcheck.schema.run import Validation
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import BackendState, Judgement, Readiness, Verdict

SCHEMA_VERSION = "1"


class Action(Record, omit_defaults=False):
    """One thing to do, with the exact commands for this machine."""

    says: str
    commands: tuple[str, ...] = ()
    risk: Literal["safe", "restart", "risky"] = "safe"
    needs_root: bool = False
    serves: tuple[str, ...] = ()
    """Ids of the verdicts it is meant to turn to met."""


class Change(Record, omit_defaults=False):
    """One thing that is not as it was."""

    what: str
    """"GPU driver", "package torch", "variable CUDA_VISIBLE_DEVICES", a backend's title or a verdict id."""
    before: str
    after: str
    mark: Mark
    """"good" and "bad" where the change is one for the better or worse, "caution" where that is not known."""


class Changes(Record, omit_defaults=False):
    """What is not as it was at an earlier look; empty where nothing that matters changed."""

    since: str
    """When the earlier look was taken (ISO 8601), or the empty text where its file does not say."""
    found: tuple[Change, ...]


class CheckDocument(Record, kw_only=True, omit_defaults=False):
    """What `envcheck check` answers: the machine, a verdict per requirement, a state per backend, what fits."""

    schema_version: str = SCHEMA_VERSION
    machine: Snapshot
    worst: Literal["met", "warning", "not_met", "unknown"]
    backends: dict[str, BackendState]
    verdicts: tuple[Verdict, ...]
    fit: tuple[FitRow, ...] = ()
    first: Action | None = None
    """What to do first; None when nothing needs doing or nothing known would help."""
    changes: Changes | None = None
    """What changed since an earlier look; None where no earlier look was named."""


class PackageRequirement(Record, kw_only=True):
    """A package of a group: what is needed and what is advised, as PEP 440 specifiers (">=2.0")."""

    group: str
    """Name of the group, "core_ml"."""
    title: str = ""
    """The group's title for a person."""
    name: str
    required: str
    recommended: str = ""
    python: str = ""
    """Python versions that the recommended one needs (">=3.11")."""
    says: str = ""
    source: str
    checked: str


class AcceleratorBuild(Record, kw_only=True):
    """One build of PyTorch judged for this machine's accelerator, driver, and Python."""

    torch: str
    """"2.10.0", or a range of releases that are judged alike ("2.12–2.14")."""
    variant: str
    """Index tag: "cpu", "cu126", "rocm6.4", "xpu", "mps"."""
    kernels: Literal["native", "ptx", "none", "unknown"]
    """Whether it carries code for this GPU: compiled, to be compiled by the driver, not at all."""
    driver: Literal["yes", "no", "unknown"]
    """Whether this machine's driver runs it."""
    python: Literal["yes", "no", "unknown"] = "unknown"
    """Whether there is a wheel for the target interpreter."""
    says: str = ""
    source: str
    checked: str


class TableAge(Record):
    """How old a table of the requirements matrix is: the dates on which its rows were last checked."""

    name: str
    rows: int
    oldest: str
    newest: str


class Tables(Record):
    """What the requirements matrix knows that concerns this machine, selected by the judge."""

    packages: tuple[PackageRequirement, ...] = ()
    builds: tuple[AcceleratorBuild, ...] = ()
    ages: tuple[TableAge, ...] = ()


class Header(Record, omit_defaults=False):
    """Who asked for the report, for what, and when. Every word comes from outside."""

    title: str = "LLM readiness report and benchmark plan"
    sprint: str = ""
    agent: str = ""
    timestamp: str = ""
    """ISO 8601, UTC."""
    version: str = ""
    """envcheck's."""
    command: str = ""
    """How to make the report again."""


class PresetRow(Record):
    """A preset's settings for this machine, with what they need."""

    name: Literal["balanced", "performance", "memory_optimized"]
    row: FitRow


class Subject(Record, omit_defaults=False):
    """Everything that is known about one machine: what the sections were composed from."""

    snapshot: Snapshot
    judgement: Judgement
    fits: tuple[FitRow, ...] = ()
    plan: Plan | None = None
    """What installing the best-suited backend would do; None where one is ready or none can be installed."""
    other_plans: tuple[Plan, ...] = ()
    """The same for the other backends that could run here; one without a target has an installer of its own."""
    validation: Validation | None = None
    tables: Tables = Tables()
    presets: tuple[PresetRow, ...] = ()
    """Settings that `fit --preset` would choose, for one model per backend."""
    curves: tuple[FitRow, ...] = ()
    """One model per backend at growing contexts."""
    singles: tuple[FitRow, ...] = ()
    """One model per backend, also in four bits where the backend has kernels for them: what is compared."""
    parallel: tuple[FitRow, ...] = ()
    """The same with three requests at a time."""
    alternatives: tuple[FitRow, ...] = ()
    """Other models that a team weighs against each other, in four bits."""
    headroom_gib: float | None = None
    """GPU memory that the project keeps free, in GiB."""


class Outcome(Record, omit_defaults=False):
    """The answer, before everything else."""

    readiness: Readiness
    says: str
    proven: bool
    """True when a real prompt got its answer from a backend that is not the embedded default."""
    first: Action | None
    report_status: Literal["complete", "partial"]
    missing: tuple[str, ...]
    """What the report could not say, one clause each; empty when complete."""
    environment_status: str
    """"READY AND PROVED", "READY, NOT PROVED", "READY AFTER INSTALL", "LIMITED", "NOT READY" or "UNKNOWN"."""
    next_phase: str


class Report(Record, omit_defaults=False):
    """The report: the sections a person reads, and the values they were composed from for programs."""

    kind: Literal["report"]
    schema_version: str
    header: Header
    outcome: Outcome
    subjects: tuple[Subject, ...]
    sections: tuple[Section, ...]
