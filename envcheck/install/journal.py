"""What an installation has done so far, flushed at each step, so that the next start knows where a dead one stood."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from envcheck.schema.facts import Record

State = Literal[
    "started", "built", "verified", "switched", "failed", "abandoned", "rolled_back",
    "applying", "applied", "restoring", "restored",
]  # fmt: skip
OPEN: frozenset[str] = frozenset({"started", "built", "verified", "applying", "restoring"})
"""States in which a dead installation left work behind."""


class Entry(Record, omit_defaults=False):
    """One line of the journal."""

    state: State
    generation: int
    previous: int | None = None
    at: str = ""
    """ISO time, for people only: clocks jump, the order of lines does not."""
    profile: str = ""
    says: str = ""


class Journal:
    """An append-only file of entries; each append is on disk before the next step begins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Entry) -> None:
        """Write one entry and wait for the disk."""
        with self.path.open("ab") as file:
            if file.tell() and not self._ends_with_newline():
                file.write(b"\n")  # a torn last line stays what it is: unreadable, and alone
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> list[Entry]:
        """All readable entries; a line cut off by a power cut is skipped."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                found.append(msgspec.json.decode(line, type=Entry))
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue
        return found

    def last(self) -> Entry | None:
        """The newest entry."""
        entries = self.entries()
        return entries[-1] if entries else None

    def _ends_with_newline(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
