"""An in-toto statement with the test-result predicate v0.1.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from envcheck.formats._machines import Machine, machines
from envcheck.schema.format import Format, Style
from envcheck.schema.verdict import Status

_RESULT = {"met": "PASSED", "warning": "WARNED", "unknown": "WARNED", "not_met": "FAILED"}
_RANK = ("met", "warning", "unknown", "not_met")


def render(document: Any, style: Style) -> str:  # noqa: ARG001
    """One statement about every machine of the document; its subjects are the digests of their snapshots."""
    found = machines(document)
    subjects = [{"name": m.snapshot.alias, "digest": {"sha256": _digest(m)}} for m in found]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": _RESULT[max((m.worst for m in found), key=_RANK.index, default="unknown")],
            "configuration": [
                _configuration(machine, subject) for machine, subject in zip(found, subjects, strict=True)
            ],
            "passedTests": _ids(found, "met"),
            "warnedTests": _ids(found, "warning", "unknown", "waived"),
            "failedTests": _ids(found, "not_met"),
        },
    }
    return msgspec.json.format(msgspec.json.encode(statement), indent=2).decode() + "\n"


def _digest(machine: Machine) -> str:
    return sha256(msgspec.json.encode(machine.snapshot)).hexdigest()


def _configuration(machine: Machine, subject: dict[str, Any]) -> dict[str, Any]:
    """What was judged by what: the snapshot, the dates of the tables, and what the predicate has no list for."""
    annotations = {
        "tables": {age.name: age.newest for age in machine.ages},
        "unknownTests": _ids([machine], "unknown"),
        "waivedTests": _ids([machine], "waived"),
        "skippedTests": _ids([machine], "skipped"),
    }
    return {**subject, "annotations": {name: value for name, value in annotations.items() if value}}


def _ids(found: list[Machine], *statuses: Status) -> list[str]:
    several = len(found) > 1
    return [
        f"{machine.snapshot.alias}/{verdict.id}" if several else verdict.id
        for machine in found
        for verdict in machine.verdicts
        if verdict.status in statuses
    ]


FORMAT = Format(
    name="intoto",
    says="in-toto statement with a test result",
    suffix=".intoto.json",
    media_type="application/vnd.in-toto+json",
    render=render,
)
