"""What a probe is: a name of a snapshot section, how to collect its evidence, how to parse it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

Evidence = dict[str, Any]
"""JSON values only: text, numbers, booleans, None, lists and dictionaries."""


class Probe(Record):
    """A plug-in of `envcheck/probes/`."""

    section: str
    """The field of `Snapshot` that `parse` fills; equal to the module's name."""
    collect: Callable[[Host], Evidence]
    parse: Callable[[Evidence], Any]
    waits: bool = False
    """True when `collect` mostly waits for other programs, so that it is worth a thread of its own."""
