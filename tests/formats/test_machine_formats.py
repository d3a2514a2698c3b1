"""Formats for programs: well-formed by their own rules, and every one says the same verdicts."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator  # type: ignore[import-untyped]

from envcheck.compose.checked import check_document
from envcheck.compose.report import compose
from envcheck.formats import github, render
from envcheck.schema.facts import Observation
from envcheck.schema.report import Change, Changes, CheckDocument, Report
from envcheck.schema.verdict import Judgement
from tests.compose.fixtures import HEADER, titan_fits, titan_judgement, titan_subject, titan_v, verdict

ALL = ("console", "json", "markdown", "github", "csv", "junit", "sarif", "prometheus", "intoto")
STATUSES = ("met", "warning", "not_met", "unknown", "skipped", "waived")


@pytest.fixture(params=["check", "report"])
def document(request: pytest.FixtureRequest) -> CheckDocument | Report:
    """Both documents about the same machine, with a verdict of every status."""
    judgement = titan_judgement()
    judgement = msgspec.structs.replace(
        judgement, verdicts=(*judgement.verdicts, verdict("vllm.pin", "waived", says="The pin stays until May."))
    )
    if request.param == "check":
        return check_document(titan_v(), judgement, titan_fits())
    return compose(titan_subject(judgement=judgement), HEADER)


def wanted(document: CheckDocument | Report) -> set[tuple[str, str]]:
    """(id, status) of every verdict, from the document."""
    verdicts = document.verdicts if isinstance(document, CheckDocument) else document.subjects[0].judgement.verdicts
    return {(v.id, v.status) for v in verdicts}


def property_of(case: Element, name: str) -> str:
    """A property of a JUnit test case."""
    found = [p.get("value", "") for p in case.findall("properties/property") if p.get("name") == name]
    return found[0] if found else ""


def said_by(name: str, text: str) -> set[tuple[str, str]]:
    """(id, status) of every verdict, read back from a format."""
    if name == "json":
        value = json.loads(text)
        verdicts = value["verdicts"] if "verdicts" in value else value["subjects"][0]["judgement"]["verdicts"]
        return {(v["id"], v["status"]) for v in verdicts}
    if name == "junit":
        cases = [case for case in fromstring(text).iter("testcase") if property_of(case, "status")]
        return {(case.get("name", ""), property_of(case, "status")) for case in cases}
    if name == "sarif":
        return {(r["ruleId"], r["properties"]["status"]) for r in json.loads(text)["runs"][0]["results"]}
    if name == "prometheus":
        lines = [line for line in text.splitlines() if line.startswith("envcheck_verdict{")]
        return {(_label(line, "id"), _label(line, "status")) for line in lines}
    if name == "csv":
        rows = csv.DictReader(io.StringIO(text, newline=""))
        return {(row["id"], row["status"]) for row in rows if row["record"] == "verdict"}
    predicate = json.loads(text)["predicate"]
    notes = predicate["configuration"][0]["annotations"]
    odd = {status: set(notes.get(f"{status}Tests", ())) for status in ("unknown", "waived", "skipped")}
    plain = set(predicate["warnedTests"]) - odd["unknown"] - odd["waived"]
    sets = {"met": predicate["passedTests"], "not_met": predicate["failedTests"], "warning": plain, **odd}
    return {(verdict_id, status) for status, ids in sets.items() for verdict_id in ids}


def _label(line: str, name: str) -> str:
    found = re.search(rf'{name}="((?:[^"\\]|\\.)*)"', line)
    assert found
    return found[1]


@pytest.mark.parametrize("name", ["json", "junit", "sarif", "prometheus", "csv", "intoto"])
def test_every_format_says_the_same_verdicts(document: CheckDocument | Report, name: str) -> None:
    assert {status for _, status in wanted(document)} == set(STATUSES)
    assert said_by(name, render(document, name)) == wanted(document)


@pytest.mark.parametrize("name", ALL)
def test_the_same_document_gives_the_same_text(document: CheckDocument | Report, name: str) -> None:
    text = render(document, name)
    assert text == render(document, name)
    assert text.endswith("\n")


def test_junit_counts_what_it_lists(document: CheckDocument | Report) -> None:
    root = fromstring(render(document, "junit"))
    for suite in root.iter("testsuite"):
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
    failed = {case.get("name") for case in root.iter("testcase") if case.find("failure") is not None}
    assert failed == {verdict_id for verdict_id, status in wanted(document) if status == "not_met"}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("2026-11-21T04:00:00+00:00", "2026-11-21T04:00:00"),
        ("2026-11-21T04:00:00Z", "2026-11-21T04:00:00"),
        ("2026-11-21T06:30:00+02:30", "2026-11-21T04:00:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_junit_states_utc_without_a_zone(said: str, shown: str) -> None:
    report = compose(titan_subject(), msgspec.structs.replace(HEADER, timestamp=said))
    assert fromstring(render(report, "junit"))[0].get("timestamp") == shown


def test_a_wrong_answer_is_no_failure_but_a_lost_one_is_an_error() -> None:
    root = fromstring(render(compose(titan_subject(), HEADER), "junit"))
    cases = {case.get("name"): case for case in root.iter("testcase") if property_of(case, "answer")}
    assert cases["capital_of_france"].find("failure") is None
    assert cases["capital_of_france"].find("error") is None
    assert cases["sort_list"].find("error") is not None


SARIF_SCHEMA = Path(__file__).parent.parent / "cases" / "sarif" / "sarif-schema-2.1.0.json"


@pytest.fixture(scope="module")
def sarif_schema() -> Any:
    """The official schema of SARIF 2.1.0, errata 01."""
    return Draft4Validator(json.loads(SARIF_SCHEMA.read_text(encoding="utf-8")))


def test_sarif_is_valid_by_the_official_schema(document: CheckDocument | Report, sarif_schema: Any) -> None:
    log = json.loads(render(document, "sarif"))
    assert not [f"{error.json_path}: {error.message}" for error in sarif_schema.iter_errors(log)]
    assert log["$schema"] == sarif_schema.schema["id"]
    del log["runs"][0]["tool"]
    log["runs"][0]["results"][0]["kind"] = "maybe"
    assert len(list(sarif_schema.iter_errors(log))) == 2


@given(evil=st.text(max_size=60))
@settings(max_examples=25, deadline=None)
def test_any_words_keep_sarif_valid(sarif_schema: Any, evil: str) -> None:
    evidence = (Observation(source=f"/etc/{evil}, {evil}", value=evil),)
    one = msgspec.structs.replace(verdict("a.b", "not_met", says=evil, actual=evil), source=evil, evidence=evidence)
    changes = Changes(since=evil, found=(Change(what=evil, before=evil, after="x", mark="bad"),))
    judgement = Judgement(worst="not_met", backends={}, verdicts=(one,))
    log = json.loads(render(check_document(titan_v(), judgement, changes=changes), "sarif"))
    assert not list(sarif_schema.iter_errors(log))


def test_sarif_names_the_files_a_verdict_rests_on() -> None:
    read = (Observation(source="/proc/cpuinfo, platform", value="x"), Observation(source="/a b/c", value="x"))
    verdicts = (
        msgspec.structs.replace(verdict("policy.pin.torch", "not_met"), source="envcheck.toml", evidence=()),
        msgspec.structs.replace(verdict("vllm.cpu.isa", "not_met"), evidence=read),
        msgspec.structs.replace(verdict("vllm.x", "met"), evidence=()),
    )
    judgement = Judgement(worst="not_met", backends={}, verdicts=verdicts)
    results = json.loads(render(check_document(titan_v(), judgement), "sarif"))["runs"][0]["results"]
    found = [
        [place.get("physicalLocation", {}).get("artifactLocation", {}).get("uri") for place in result["locations"]]
        for result in results
    ]
    assert found == [["envcheck.toml"], ["file:///proc/cpuinfo", "file:///a%20b/c"], ["envcheck.toml"]]


def test_sarif_follows_the_rules_of_its_specification(document: CheckDocument | Report) -> None:
    log = json.loads(render(document, "sarif"))
    assert log["version"] == "2.1.0"
    for run in log["runs"]:
        rules = run["tool"]["driver"]["rules"]
        assert len({rule["id"] for rule in rules}) == len(rules)
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            assert result["message"]["text"]
            if result["kind"] != "fail":
                assert result["level"] == "none"
            else:
                assert result["level"] in ("error", "warning", "note")
            place = result["locations"][0]["physicalLocation"]
            assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("envcheck.toml", 1)


PROMETHEUS_LINE = re.compile(
    r'[a-z_]+\{([a-z_]+="(?:[^"\\\n]|\\\\|\\")*")(,[a-z_]+="(?:[^"\\\n]|\\\\|\\")*")*\} -?\d[\d.e+-]*'
)


def test_prometheus_lines_are_grouped_and_unique(document: CheckDocument | Report) -> None:
    lines = render(document, "prometheus").splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(PROMETHEUS_LINE.fullmatch(line) for line in samples)
    series = [line.rsplit(" ", 1)[0] for line in samples]
    assert len(series) == len(set(series))
    helps = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert len(helps) == len(set(helps))


def test_intoto_names_its_subject_by_digest(document: CheckDocument | Report) -> None:
    statement = json.loads(render(document, "intoto"))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert re.fullmatch(r"[0-9a-f]{64}", statement["subject"][0]["digest"]["sha256"])
    assert statement["predicate"]["result"] == "FAILED"


HOSTILE = st.text(max_size=30) | st.sampled_from(
    ["=cmd|'/c calc'!A1", "]]>", "<a b='c'>", '"\\\n', "\x00\x1b[0m", "\ud7ff\ufffe"]
)


@given(evil=HOSTILE)
@settings(max_examples=100, deadline=None)
def test_any_words_keep_every_format_well_formed(evil: str) -> None:
    judgement = Judgement(worst="not_met", backends={}, verdicts=(verdict("a.b", "not_met", says=evil, actual=evil),))
    text: dict[str, Any] = {name: render(check_document(titan_v(), judgement), name) for name in ALL}
    fromstring(text["junit"])
    for name in ("json", "sarif", "intoto"):
        json.loads(text[name])
    rows = list(csv.reader(io.StringIO(text["csv"], newline="")))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows[1:] for cell in row)


def test_a_summary_never_exceeds_what_github_shows() -> None:
    verdicts = tuple(verdict(f"vllm.n{i}", "not_met", says="x" * 300) for i in range(4000))
    judgement = msgspec.structs.replace(titan_judgement(), verdicts=verdicts)
    text = render(compose(titan_subject(judgement=judgement), HEADER), "github")
    assert len(text.encode()) <= github.LIMIT
    assert text.startswith("### ")
    assert "exceed" in text
