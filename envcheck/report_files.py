"""Results that come as files: reports and check documents as JSON, snapshots, hypothetical machines.

Whatever is wrong with a file becomes one sentence that names it. Text in a file stays text: every format escapes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from envcheck.machine_files import read_assumption, read_snapshot, text_of_file
from envcheck.schema.errors import InputError
from envcheck.schema.report import SCHEMA_VERSION, CheckDocument, Report, Subject
from envcheck.schema.verdict import Judgement

if TYPE_CHECKING:
    from envcheck.judge.policy import Policy

D = TypeVar("D", Report, CheckDocument)


class _Kind(msgspec.Struct):
    """The keys that tell the kinds of result files apart; other keys are ignored."""

    kind: str = ""
    schema_version: str = ""
    backends: msgspec.Raw = msgspec.Raw(b"")
    verdicts: msgspec.Raw = msgspec.Raw(b"")


def read_result(path: Path, policy: Policy | None = None) -> Report | Subject:
    """What a result file says: a report, or everything that is known about one machine.

    Accepts a report (`envcheck report|run`), a check document (`envcheck check --format json`), a snapshot
    (`envcheck snapshot`) and a hypothetical machine in TOML; the last two are judged now, with the project's policy
    where one is given.
    """
    if path.suffix.lower() == ".toml":
        from envcheck.main_job import subject_of

        return _settled(subject_of(read_assumption(path), policy=policy))
    text = text_of_file(path, "result")
    try:
        kind = msgspec.json.decode(text, type=_Kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"{path} is JSON but no result of envcheck ({error}).") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{path} is not complete JSON ({error}).") from None
    if kind.kind == "report":
        return _decoded(path, text, kind, Report)
    if bytes(kind.verdicts):
        return _subject(_decoded(path, text, kind, CheckDocument))
    from envcheck.main_job import subject_of

    return _settled(subject_of(read_snapshot(path), policy=policy))


def read_earlier(path: Path, policy: Policy | None = None) -> tuple[Subject, str]:
    """The one machine of an earlier result, to compare with, and when it was looked at (ISO 8601, or unknown: "").

    Raises InputError where the file holds several machines.
    """
    old = read_result(path, policy)
    subjects = old.subjects if isinstance(old, Report) else (old,)
    if len(subjects) != 1:
        raise InputError(f"{path} holds {len(subjects)} machines: --diff compares one machine with itself.")
    return subjects[0], old.header.timestamp if isinstance(old, Report) else subjects[0].snapshot.taken_at


def _settled(subject: Subject) -> Subject:
    """The subject as its JSON gives it back (an int in a float field becomes one)."""
    return msgspec.json.decode(msgspec.json.encode(subject), type=Subject)


def _decoded(path: Path, text: str, kind: _Kind, wanted: type[D]) -> D:
    what = "report" if wanted is Report else "check result"
    if kind.schema_version != SCHEMA_VERSION:
        raise InputError(
            f"{path} is a {what} of version {kind.schema_version!r}, this envcheck reads {SCHEMA_VERSION!r}: "
            "make it again, or use the envcheck that wrote it."
        )
    try:
        return msgspec.json.decode(text, type=wanted)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"{path} is no valid {what}: {error}.") from None


def _subject(document: CheckDocument) -> Subject:
    from envcheck.judge.selected import tables_for

    return Subject(
        snapshot=document.machine,
        judgement=Judgement(worst=document.worst, backends=document.backends, verdicts=document.verdicts),
        fits=document.fit,
        tables=tables_for(document.machine),
    )
