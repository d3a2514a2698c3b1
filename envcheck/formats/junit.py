"""JUnit XML, as Jenkins, GitLab and GitHub actions read it: one test case per requirement, then one per prompt.

The format has no owner; this is the common subset (https://github.com/testmoapp/junitxml). It knows no "unknown", so
that is a skipped case whose message says so; each case keeps its exact status as a property.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from envcheck.formats._machines import Machine, machines
from envcheck.formats._text import inert
from envcheck.schema.format import Format, Style
from envcheck.schema.run import PromptRun, Run
from envcheck.schema.verdict import Verdict

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def render(document: Any, style: Style) -> str:  # noqa: ARG001
    """One `testsuite` per machine for its requirements, and one per run for its prompts."""
    root = Element("testsuites", name="envcheck")
    for machine in machines(document):
        _requirements(root, machine)
        for run in machine.runs:
            _prompts(root, machine, run)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    indent(root)
    return _XML + tostring(root, encoding="unicode") + "\n"


def _requirements(root: Element, machine: Machine) -> None:
    suite = SubElement(root, "testsuite", name=f"requirements of {inert(machine.snapshot.alias)}")
    if machine.timestamp:
        suite.set("timestamp", _utc(machine.timestamp))
    if machine.changes:
        said = {f"changed: {c.what}": f"{c.before} → {c.after}" for c in machine.changes.found}
        _properties(suite, since=machine.changes.since, changes=str(len(said)), **said)
    for verdict in machine.verdicts:
        case = SubElement(suite, "testcase", classname=f"envcheck.{inert(verdict.backend)}", name=inert(verdict.id))
        _properties(case, status=verdict.status, severity=verdict.severity, cause=verdict.cause or "")
        _result(case, verdict)
    _count(suite)


def _utc(timestamp: str) -> str:
    """ISO 8601 in UTC without a zone, as the format's readers expect; other text stays as it is."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return inert(timestamp)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None).isoformat(timespec="seconds")


def _result(case: Element, verdict: Verdict) -> None:
    says = inert(verdict.says)
    if verdict.status == "not_met":
        failure = SubElement(case, "failure", type=verdict.severity, message=says)
        failure.text = inert(f"required: {verdict.expected}; available: {verdict.actual}{_remedy(verdict)}")
    elif verdict.status in ("unknown", "skipped", "waived"):
        reason = f"waits for {verdict.skipped_because}" if verdict.skipped_because else verdict.says
        SubElement(case, "skipped", message=inert(f"{verdict.status}: {reason}"))
    elif verdict.status == "warning":
        SubElement(case, "system-out").text = inert(f"warning: {verdict.says}{_remedy(verdict)}")


def _remedy(verdict: Verdict) -> str:
    if verdict.remedy is None:
        return ""
    commands = "; ".join(verdict.remedy.commands)
    return f"; remedy: {verdict.remedy.says}" + (f" ({commands})" if commands else "")


def _prompts(root: Element, machine: Machine, run: Run) -> None:
    name = f"prompts on {inert(machine.snapshot.alias)}: {inert(run.backend)} with {inert(run.model)}"
    suite = SubElement(root, "testsuite", name=name)
    for prompt in run.prompts:
        case = SubElement(suite, "testcase", classname=f"envcheck.run.{inert(run.backend)}", name=inert(prompt.id))
        if prompt.e2e_ms is not None:
            case.set("time", f"{prompt.e2e_ms / 1000:.3f}")
        _properties(case, answer=prompt.answer, **_figures(prompt))
        if prompt.skipped_because:
            SubElement(case, "skipped", message=inert(prompt.skipped_because))
        elif prompt.error is not None:
            SubElement(case, "error", type="no answer", message=inert(prompt.error))
        elif not prompt.passed:
            # A wrong answer of a small model is no failure of the environment.
            SubElement(case, "system-out").text = inert(f"answered, {prompt.answer}: {prompt.why}")
    if not run.prompts:
        case = SubElement(suite, "testcase", classname=f"envcheck.run.{inert(run.backend)}", name="start")
        kind = "failure" if run.status == "failed" else "skipped"
        SubElement(case, kind, message=inert(run.why))
    _count(suite)


def _figures(prompt: PromptRun) -> dict[str, str]:
    names = ("ttft_ms", "tpot_ms", "decode_tps", "ram_mib", "vram_mib")
    return {name: f"{value:.3f}" for name in names if (value := getattr(prompt, name)) is not None}


def _properties(case: Element, **values: str) -> None:
    properties = SubElement(case, "properties")
    for name, value in values.items():
        if value:
            SubElement(properties, "property", name=inert(name), value=inert(value))


def _count(suite: Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))


FORMAT = Format(
    name="junit", says="JUnit XML for CI systems", suffix=".xml", media_type="application/xml", render=render
)
