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


class OwnIndex(Record, omit_defaults=False):
    """A package whose wheel lies in an index of its own, and in no other."""

    package: str
    url: str
    """Address of that index (PEP 503)."""
    source: str = ""
    checked: str = ""


class Decision(Record, omit_defaults=False):
    """Which build of the accelerator stack, and why."""

    accelerator: str | None = None
    """Index tag: "cpu", "cu126", "rocm6.4", "xpu", "mps"."""
    torch: str | None = None
    index_url: str | None = None
    """Where that torch is, if not in the default index."""
    indexes: tuple[OwnIndex, ...] = ()
    """Where other packages are, if not in the default index."""
    kernels: tuple[str, ...] = ()
    """Architectures that this machine's GPUs run ("sm_86"): they must be compiled into the torch that arrives."""
    because: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()


class PlannedPackage(Record, omit_defaults=False):
    """One distribution of the resolved set."""

    name: str
    version: str
    hash: str = ""
    size_bytes: int | None = None
    origin: str = ""


class Blocked(Record, omit_defaults=False):
    """Why no version works, and the nearest way out."""

    says: str
    remedy: Remedy | None = None


class Cost(Record, omit_defaults=False):
    """What carrying a plan out takes, as far as the index states sizes."""

    download_bytes: int
    """Sum of the wheels whose size the index states, in bytes."""
    unknown_sizes: int
    """Packages whose size it does not state; `download_bytes` is then a lower bound."""
    disk_needed_bytes: int
    """What the unpacked wheels are likely to take, in bytes; with less than half of it free nothing is started."""
    disk_free_bytes: int | None = None
    seconds: int | None = None
    """Estimated duration; None where sizes are missing."""
    assumed: str = ""
    """What the estimate rests on."""


class Plan(Record, omit_defaults=False):
    """Everything `install` would do for one set of profiles."""

    profile: str
    target: str
    decision: Decision
    steps: tuple[Step, ...] = ()
    packages: tuple[PlannedPackage, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    warnings: tuple[str, ...] = ()
    """Packages that a constraint pushed far back."""
    mirrors: dict[str, str] = {}  # noqa: RUF012  a frozen record; msgspec copies empty defaults
    """The user's own index settings that apply, or are left aside, without credentials."""
    cost: Cost | None = None
    generation: int | None = None
    outcome: str = "planned"
