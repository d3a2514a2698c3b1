"""Results that come as files: reports and check documents as JSON, snapshots, hypothetical machines.

Whatever is wrong with a file becomes one sentence that names it. Text in a file stays text: every format escapes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from envcheck.machine_files import read_assumption, read_snapshot, text_of_file
from envcheck.schema.errors import InputError
from envcheck.schema.report import SCHEMA_VERSION, CheckDocument, Report, Subject
from envcheck.schema.run import Run, Validation
from envcheck.schema.verdict import Judgement

if TYPE_CHECKING:
    from envcheck.host import Host
    from envcheck.judge.policy import Policy

D = TypeVar("D", Report, CheckDocument, Validation)


class _Kind(msgspec.Struct):
    """The keys that tell the kinds of result files apart; other keys are ignored."""

    kind: str = ""
    schema_version: str = ""
    backends: msgspec.Raw = msgspec.Raw(b"")
    verdicts: msgspec.Raw = msgspec.Raw(b"")
    runs: msgspec.Raw = msgspec.Raw(b"")


def read_result(path: Path, policy: Policy | None = None) -> Report | Subject | Validation:
    """What a result file says: a report, everything that is known about one machine, or what was run on it.

    Accepts a report (`envcheck report|run`), a check document (`envcheck check --format json`), a validation
    (`envcheck validate --format json`), a snapshot (`envcheck snapshot`) and a hypothetical machine in TOML; the last
    two are judged now, with the project's policy where one is given.
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
    if bytes(kind.runs) and not bytes(kind.verdicts):
        return _decoded_as(path, text, Validation, "validation")
    if bytes(kind.verdicts):
        return _subject(_decoded(path, text, kind, CheckDocument))
    from envcheck.main_job import subject_of

    return _settled(subject_of(read_snapshot(path), policy=policy))


def read_earlier(path: Path, policy: Policy | None = None) -> tuple[Subject, str]:
    """The one machine of an earlier result, to compare with, and when it was looked at (ISO 8601, or unknown: "").

    Raises InputError where the file holds several machines.
    """
    old = read_result(path, policy)
    if isinstance(old, Validation):
        raise InputError(f"{path} says what was run, not on what: name an earlier snapshot, check or report.")
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
    return _decoded_as(path, text, wanted, what)


def _decoded_as(path: Path, text: str, wanted: type[D], what: str) -> D:
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


def with_validations(subject: Subject, found: Sequence[Validation]) -> Subject:
    """The machine with these runs added to those it has."""
    if not found:
        return subject
    every = [*([subject.validation] if subject.validation else []), *found]
    together = Validation(
        runs=tuple(run for one in every for run in one.runs),
        compute=tuple(run for one in every for run in one.compute),
        interrupted=any(one.interrupted for one in every),
    )
    return msgspec.structs.replace(subject, validation=together)


def redacted(report: Report, host: Host) -> Report:
    """The report without what somebody typed or an engine printed that names a person, a machine or a secret.

    Evidence is redacted when it is collected; what remains is the command, the header's words, addresses, model paths,
    errors and answers. Sections are composed anew where one of them changed; else the report is returned as it is.
    """
    from envcheck.probes._redact import Redactor

    clean = Redactor(host)
    header = msgspec.convert(_clean(msgspec.to_builtins(report.header), clean), type(report.header))
    subjects = tuple(_clean_subject(subject, clean) for subject in report.subjects)
    if header == report.header and subjects == report.subjects:
        return report
    from envcheck.compose.merged import merge
    from envcheck.compose.report import compose

    made = compose(subjects[0], header) if len(subjects) == 1 else merge(subjects, header)
    added = tuple(section for section in report.sections if section.id == "changes")
    return msgspec.structs.replace(made, sections=(*made.sections[:1], *added, *made.sections[1:])) if added else made


def _clean_subject(subject: Subject, clean: Callable[[str], str]) -> Subject:
    validation = subject.validation
    if validation is None or not validation.runs:
        return subject
    runs = tuple(msgspec.convert(_clean(msgspec.to_builtins(run), clean), Run) for run in validation.runs)
    if runs == validation.runs:
        return subject
    return msgspec.structs.replace(subject, validation=msgspec.structs.replace(validation, runs=runs))


def _clean(value: Any, clean: Callable[[str], str]) -> Any:
    """Every text inside builtin values; digests and times stay, and so does whatever has nothing to take out."""
    if isinstance(value, str):
        return clean(value) if len(value) > 2 and not _DIGEST.fullmatch(value) else value
    if isinstance(value, dict):
        return {key: _clean(inner, clean) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner, clean) for inner in value]
    return value


_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f]{32,128}|\d{4}-\d\d-\d\dT[0-9:.+Z-]+")
