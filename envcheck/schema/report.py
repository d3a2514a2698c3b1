"""The two documents that formats render: what `check` says, and the report a team reads.

Both are complete: a format lays them out and decides nothing. JSON of either, decoded and encoded again, is identical.
`SCHEMA_VERSION` changes when a key is removed or changes its meaning; adding keys does not change it.
"""

from __future__ import annotations

from typing import Any, Literal

from envcheck.schema.facts import Record
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import BackendState, Verdict

SCHEMA_VERSION = "1"

FitRow = dict[str, Any]


class Action(Record, omit_defaults=False):
    """One thing to do, with the exact commands for this machine."""

    says: str
    commands: tuple[str, ...] = ()
    risk: Literal["safe", "restart", "risky"] = "safe"
    needs_root: bool = False
    serves: tuple[str, ...] = ()
    """Ids of the verdicts it is meant to turn to met."""


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
