"""Machines in `tests/cases/judge/*.toml` and what must be said of them; add a file to add a case."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from envcheck.importers.assume import to_snapshot
from envcheck.judge.evaluate import evaluate
from envcheck.schema.assumption import Assumption
from envcheck.schema.verdict import CHAIN, Intent, Judgement

CASES = sorted((Path(__file__).parent.parent / "cases" / "judge").glob("*.toml"))


def judged(path: Path) -> tuple[Judgement, dict[str, dict[str, dict[str, str]]]]:
    case = tomllib.loads(path.read_text())
    machine = to_snapshot(msgspec.convert(case.pop("machine"), Assumption))
    return evaluate(machine, Intent(), today="2026-11-21"), case


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_the_state_of_each_backend_is_the_one_written_down(path: Path) -> None:
    judgement, case = judged(path)
    for name, wanted in case["backends"].items():
        state = judgement.backends[name]
        assert state.status == wanted["status"], (name, state)
        assert state.first_broken == wanted.get("first_broken", state.first_broken), (name, state)
        assert wanted.get("why", "") in state.why, (name, state)


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_the_verdicts_are_the_ones_written_down(path: Path) -> None:
    judgement, case = judged(path)
    verdicts = {verdict.id: verdict for verdict in judgement.verdicts}
    for name, wanted in case["verdicts"].items():
        verdict = verdicts[name]
        commands = " ".join(verdict.remedy.commands) if verdict.remedy else ""
        assert wanted.pop("remedy", "") in commands
        assert {key: getattr(verdict, key) for key in wanted} == wanted, name


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_every_verdict_is_whole(path: Path) -> None:
    judgement, _ = judged(path)
    ids = [verdict.id for verdict in judgement.verdicts]
    assert len(ids) == len(set(ids))
    links = [CHAIN.index(verdict.link) for verdict in judgement.verdicts]
    assert links == sorted(links)
    for verdict in judgement.verdicts:
        assert verdict.title
        assert verdict.says
        assert "{" not in verdict.says + verdict.expected + verdict.actual, verdict.id
        assert verdict.expected
        assert verdict.source.startswith(("https://", "PyPI metadata of ")), verdict.id
        assert verdict.checked
        assert (verdict.skipped_because is not None) == (verdict.status == "skipped")
        assert set(verdict.requires) <= set(ids) | set(verdict.requires)
        if verdict.remedy is not None:
            assert not any("{" in c or "unknown" in c for c in verdict.remedy.commands), verdict.id
