"""One view of both documents for formats that list verdicts, fits and runs: a machine at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

from envcheck.schema.fit import FitRow
from envcheck.schema.report import Changes, CheckDocument, Report, TableAge
from envcheck.schema.run import Run
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import BackendState, Verdict


class Machine(NamedTuple):
    """What a document says about one machine."""

    snapshot: Snapshot
    worst: str
    backends: dict[str, BackendState]
    verdicts: tuple[Verdict, ...]
    fits: tuple[FitRow, ...]
    runs: tuple[Run, ...]
    ages: tuple[TableAge, ...]
    timestamp: str
    changes: Changes | None = None


def machines(document: Any) -> list[Machine]:
    """The machines of a check document or a report, in its order."""
    if isinstance(document, CheckDocument):
        snapshot = document.machine
        parts = (document.worst, document.backends, document.verdicts, document.fit)
        return [Machine(snapshot, *parts, (), (), snapshot.taken_at, document.changes)]
    if not isinstance(document, Report):
        raise TypeError(f"no verdicts in {type(document).__name__}")
    return [
        Machine(
            subject.snapshot,
            subject.judgement.worst,
            subject.judgement.backends,
            subject.judgement.verdicts,
            subject.fits,
            subject.validation.runs if subject.validation else (),
            subject.tables.ages,
            document.header.timestamp,
        )
        for subject in document.subjects
    ]
