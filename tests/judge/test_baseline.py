"""A baseline holds its own machine, and notices what moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.judge.baseline import baseline, to_toml
from envcheck.judge.evaluate import evaluate
from envcheck.judge.policy import Policy, load_policy
from envcheck.schema.verdict import Intent
from tests.judge.machines import machine

FACTS: dict[str, Any] = {
    "capabilities": ("8.9",),
    "driver": "595.71.05",
    "packages": {"torch": "2.13.0+cu130", "transformers": "5.19.0", "vllm": "0.32.0", "left-pad": "1.0"},
    "env": {"CUDA_VISIBLE_DEVICES": "0", "EDITOR": "vi"},
}


def written(policy: Policy, folder: Path) -> Policy:
    path = folder / "envcheck.toml"
    path.write_text(to_toml(policy, "from a test"))
    return load_policy(path)


def test_only_what_decides_is_pinned(tmp_path: Path) -> None:
    policy = written(baseline(machine(**FACTS)), tmp_path)
    assert policy.pins == ("torch==2.13.0+cu130", "transformers==5.19.0", "vllm==0.32.0")
    assert policy.variables == {"CUDA_VISIBLE_DEVICES": "0"}


def test_a_machine_meets_its_own_baseline() -> None:
    snapshot = machine(**FACTS)
    judgement = evaluate(snapshot, Intent(), ("vllm", "transformers"), baseline(snapshot), today="2026-11-21")
    assert judgement.worst == "met"
    assert {v.status for v in judgement.verdicts if v.id.startswith("policy.")} == {"met"}


@pytest.mark.parametrize("torch", ["2.13.0+cpu", "2.14.1+cu130"])
def test_a_build_that_moved_is_noticed(torch: str) -> None:
    moved = machine(**FACTS | {"packages": FACTS["packages"] | {"torch": torch}})
    judgement = evaluate(moved, Intent(), ("transformers",), baseline(machine(**FACTS)), today="2026-11-21")
    assert next(v.status for v in judgement.verdicts if v.id == "policy.pin.torch") == "not_met"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_value_stays_a_value(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    policy = Policy(pins=("torch==2.7.0",), variables={"CUDA_VISIBLE_DEVICES": value})
    assert written(policy, tmp_path_factory.mktemp("baseline")) == policy
