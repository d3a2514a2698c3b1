"""What would be done, before anything is done."""

from __future__ import annotations

from envcheck.schema.facts import Record
from envcheck.schema.verdict import Remedy


class Step(Record, omit_defaults=False):
    """One command, as an argument list; never a shell string."""

    argv: tuple[str, ...]
    says: str
    serves: tuple[str, ...] = ()
    """Ids of the verdicts it is meant to turn to met."""
    needs_root: bool = False
    manual: bool = False
    """True for commands that are shown and never run (drivers, Docker, system packages)."""
    done_when: str = ""


class Rejected(Record):
    """A choice that was looked at and not taken."""

    choice: str
    because: str


class Decision(Record, omit_defaults=False):
    """Which build of the accelerator stack, and why."""

    accelerator: str | None = None
    """Index tag: "cpu", "cu126", "rocm6.4", "xpu", "mps"."""
    torch: str | None = None
    index_url: str | None = None
    because: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()


class PlannedPackage(Record):
    """One distribution of the resolved set."""

    name: str
    version: str
    hash: str = ""
    size_bytes: int | None = None
    origin: str = ""


class Blocked(Record):
    """Why no version works, and the nearest way out."""

    says: str
    remedy: Remedy | None = None


class Plan(Record, omit_defaults=False):
    """Everything `install` would do for one set of profiles."""

    profile: str
    target: str
    decision: Decision
    steps: tuple[Step, ...] = ()
    packages: tuple[PlannedPackage, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    generation: int | None = None
    outcome: str = "planned"
