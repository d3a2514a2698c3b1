"""SARIF 2.1.0 (OASIS, https://docs.oasis-open.org/sarif/sarif/v2.1.0/): one result per verdict, one run per machine."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from envcheck.formats._machines import Machine, machines
from envcheck.formats._text import inert
from envcheck.schema.format import Format, Style
from envcheck.schema.verdict import Status, Verdict

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_KIND: dict[Status, str] = {
    "met": "pass",
    "warning": "fail",
    "not_met": "fail",
    "unknown": "open",
    "skipped": "notApplicable",
    "waived": "fail",
}
_LEVEL = {"blocker": "error", "warning": "warning", "info": "note"}


def render(document: Any, style: Style) -> str:  # noqa: ARG001
    """The verdicts as a SARIF log. Results that are no failure have the level "none", as §3.27.10 demands."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(machine) for machine in machines(document)]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode() + "\n"


def _run(machine: Machine) -> dict[str, Any]:
    positions = {verdict_id: index for index, verdict_id in enumerate(dict.fromkeys(v.id for v in machine.verdicts))}
    rules = {verdict.id: _rule(verdict) for verdict in machine.verdicts}
    driver = {
        "name": "envcheck",
        "rules": list(rules.values()),
    }
    bag = {"properties": {"changes": msgspec.to_builtins(machine.changes)}} if machine.changes else {}
    return {
        **bag,
        "tool": {"driver": driver},
        "automationDetails": {"id": f"envcheck/{inert(machine.snapshot.alias)}/"},
        "columnKind": "unicodeCodePoints",
        "results": [_result(verdict, positions[verdict.id], machine) for verdict in machine.verdicts],
    }


def _rule(verdict: Verdict) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": verdict.id,
        "shortDescription": {"text": inert(f"{verdict.title or verdict.id}: {verdict.expected or 'see help'}")},
        "defaultConfiguration": {"level": _LEVEL[verdict.severity]},
        "properties": {"backend": verdict.backend, "link": verdict.link},
    }
    if verdict.source.startswith("https://"):
        rule["helpUri"] = verdict.source
    if verdict.remedy is not None:
        rule["help"] = {"text": inert(" ".join([verdict.remedy.says, *verdict.remedy.commands]))}
    return rule


def _result(verdict: Verdict, position: int, machine: Machine) -> dict[str, Any]:
    level = _LEVEL[verdict.severity]
    if verdict.status == "warning" and level == "error":
        level = "warning"
    result: dict[str, Any] = {
        "ruleId": verdict.id,
        "ruleIndex": position,
        "kind": _KIND[verdict.status],
        "level": level if _KIND[verdict.status] == "fail" else "none",
        "message": {"text": inert(_message(verdict)) or verdict.id},
        "locations": _locations(verdict, machine),
        "partialFingerprints": {"envcheck/v1": verdict.id},
        "properties": {"status": verdict.status, "expected": verdict.expected, "actual": verdict.actual},
    }
    if verdict.status == "waived":
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": inert(verdict.says)}]
    return result


POLICY_FILE = "envcheck.toml"
"""Where a project pins, forbids and waives: the one file of a repository in which something can be done about any
verdict. GitHub shows no result without a file
(https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support)."""


def _locations(verdict: Verdict, machine: Machine) -> list[dict[str, Any]]:
    """The backend on the machine, in each file that the verdict rests on, else in the project's policy."""
    logical = [{"fullyQualifiedName": f"{inert(machine.snapshot.alias)}/{inert(verdict.backend)}", "kind": "module"}]
    places = [
        {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}} for uri in _files(verdict) or [POLICY_FILE]
    ]
    return [{"logicalLocations": logical, "physicalLocation": place} for place in places]


def _files(verdict: Verdict) -> list[str]:
    """Addresses of the files a verdict names: relative for the project's, absolute (`file:`) for the machine's."""
    sources = [name for one in verdict.evidence for name in inert(one.source).split(", ")]
    found = [f"file://{quote(name)}" for name in sources if name.startswith("/")]
    return list(dict.fromkeys([*([verdict.source] if verdict.source.endswith(".toml") else []), *found]))


def _message(verdict: Verdict) -> str:
    if verdict.skipped_because:
        return f"Not judged: waits for {verdict.skipped_because}."
    remedy = f" {verdict.remedy.says}" if verdict.remedy and verdict.status != "met" else ""
    return verdict.says + remedy


FORMAT = Format(
    name="sarif",
    says="SARIF 2.1.0 for code scanning",
    suffix=".sarif",
    media_type="application/sarif+json",
    render=render,
)
