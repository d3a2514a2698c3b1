"""Synthetic pastes through the whole chain: what must be named, and the near misses that must not."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from envcheck.api_diagnose import diagnose, intent_of
from envcheck.schema.causes import CAUSES

FOLDER = Path(__file__).parents[2] / "cases" / "diagnose"
KEYS = {"name", "like", "dump", "intent", "blocks", "names", "first", "quiet", "not_blocking", "silent", "harmless"}


def cases() -> list[Any]:
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        rows = tomllib.loads(path.read_text())["case"]
        found += [pytest.param(row, id=f"{path.stem}: {row['name']}") for row in rows]
    return found


@pytest.mark.parametrize("row", cases())
def test_case(row: dict[str, Any]) -> None:
    assert set(row) <= KEYS
    found = diagnose(row["dump"], intent_of(row.get("intent"))).findings
    blockers = [f.cause for f in found if f.severity == "blocker"]
    serious = [f.cause for f in found if f.severity in ("blocker", "warning")]
    said = f"said {[(f.cause, f.severity, f.says) for f in found]}"
    assert set(row.get("blocks", ())) <= set(blockers), said
    assert set(row.get("names", ())) <= set(serious), said
    assert not set(row.get("quiet", ())) & set(serious), said
    assert not set(row.get("not_blocking", ())) & set(blockers), said
    if "first" in row:
        assert blockers[:1] == [row["first"]], said
    if row.get("silent"):
        assert not serious, said
    if row.get("harmless"):
        assert not blockers, said


def test_every_cause_has_a_case_that_names_it() -> None:
    rows = [param.values[0] for param in cases()]
    named = {cause for row in rows for key in ("blocks", "names") for cause in row.get(key, ())}
    named |= {row["first"] for row in rows if "first" in row}
    assert named == set(CAUSES) - {"not_environment"}


def test_findings_rest_on_lines_of_the_paste() -> None:
    text = "first line\nModuleNotFoundError: No module named 'sentencepiece'"
    finding = diagnose(text).findings[0]
    assert [(quote.line, quote.text) for quote in finding.evidence] == [(2, text.split("\n")[1])]
    assert finding.remedy is not None


@pytest.mark.parametrize("row", cases())
def test_only_what_is_likely_blocks(row: dict[str, Any]) -> None:
    found = diagnose(row["dump"], intent_of(row.get("intent"))).findings
    assert all(finding.confidence != "possible" for finding in found if finding.severity == "blocker")
    assert len({finding.cause for finding in found}) == len(found)
