"""The file that `envcheck snapshot` writes: what the probes read, before anyone made sense of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from envcheck.schema.facts import Record

SCHEMA_VERSION = "1"


class EvidenceFile(Record, omit_defaults=False):
    """Redacted raw evidence of one machine; parsing it again gives the same snapshot anywhere."""

    kind: Literal["envcheck-snapshot"] = "envcheck-snapshot"
    schema_version: str = SCHEMA_VERSION
    envcheck: str = ""
    """Version that collected it."""
    taken_at: str = ""
    level: int = 1
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)
    """Section name to what its probe collected; `{"failed": why}` where the probe itself failed."""


class Timing(Record):
    """How long one probe took to collect, in seconds."""

    section: str
    seconds: float
