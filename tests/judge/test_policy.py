"""The project's own word: pins, bans, variables, headroom, waivers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from envcheck.judge.evaluate import evaluate
from envcheck.judge.policy import Policy, Waiver, load_policy
from envcheck.schema.errors import InputError
from envcheck.schema.verdict import Intent, Judgement, Verdict
from tests.judge.machines import machine


def judged(policy: Policy, today: str = "2026-11-21", backends: tuple[str, ...] = (), **facts: Any) -> Judgement:
    return evaluate(machine(**facts), Intent(), backends or ("llama.cpp",), policy, today=today)


def verdict(judgement: Judgement, name: str) -> Verdict:
    return next(v for v in judgement.verdicts if v.id == name)


@pytest.mark.parametrize(
    ("packages", "status"),
    [({"torch": "2.7.0+cu128"}, "met"), ({"torch": "2.8.0"}, "not_met"), ({}, "not_met"), (None, "unknown")],
)
def test_a_pin_is_met_by_its_version_whatever_the_build(packages: dict[str, str] | None, status: str) -> None:
    assert verdict(judged(Policy(pins=("torch==2.7.0",)), packages=packages), "policy.pin.torch").status == status


@pytest.mark.parametrize(("packages", "status"), [({"xformers": "0.0.30"}, "not_met"), ({}, "met"), (None, "unknown")])
def test_a_banned_package_must_be_absent(packages: dict[str, str] | None, status: str) -> None:
    assert verdict(judged(Policy(forbidden=("XFormers",)), packages=packages), "policy.ban.xformers").status == status


@pytest.mark.parametrize(("env", "status"), [({"A": "1"}, "met"), ({"A": "2"}, "not_met"), ({}, "not_met")])
def test_a_wanted_variable_has_its_value(env: dict[str, str], status: str) -> None:
    assert verdict(judged(Policy(variables={"A": "1"}), env=env), "policy.variable.a").status == status


def test_headroom_that_nobody_measured_is_unknown_and_blocks_nothing() -> None:
    judgement = judged(Policy(headroom_gib=2), capabilities=("8.6",), driver="580.95.05", packages={})
    found = verdict(judgement, "policy.headroom")
    assert (found.status, found.severity) == ("unknown", "warning")


def test_a_release_that_would_move_a_pin_is_not_chosen() -> None:
    facts: dict[str, Any] = {"capabilities": ("8.6",), "driver": "595.71.05", "packages": {}}
    free = judged(Policy(), backends=("vllm",), **facts)
    assert free.backends["vllm"].status == "ready_after_install"
    pinned = judged(Policy(pins=("torch==2.9.1",)), backends=("vllm",), **facts)
    assert pinned.backends["vllm"].status == "limited"
    assert verdict(pinned, "vllm.backend.release").actual == "0.16.0"
    assert verdict(pinned, "vllm.policy.torch").status == "not_met"


def test_a_pin_that_only_releases_with_a_banned_package_keep_blocks() -> None:
    policy = Policy(pins=("torch==2.7.0",), forbidden=("xformers",))
    judgement = judged(policy, backends=("vllm",), capabilities=("8.6",), driver="595.71.05", packages={})
    assert judgement.backends["vllm"].status == "blocked"
    assert judgement.backends["vllm"].first_broken == "vllm.policy.torch"


OLD_DRIVER: dict[str, Any] = {
    "capabilities": ("8.6",),
    "driver": "535.104.05",
    "packages": {},
    "programs": {"ollama": "0.32.0"},
}
WAIVER = Waiver(id="ollama.driver.version", reason="CPU is fine here", owner="ops", expires="2027-01-01")


def test_a_waived_finding_stays_visible_and_no_longer_counts() -> None:
    judgement = judged(Policy(waiver=(WAIVER,)), backends=("ollama",), **OLD_DRIVER)
    found = verdict(judgement, "ollama.driver.version")
    assert found.status == "waived"
    assert "CPU is fine here" in found.says
    assert "ops" in found.says
    assert judgement.worst == "met"
    assert judgement.backends["ollama"].status == "ready"


def test_an_expired_waiver_has_no_effect_and_is_named() -> None:
    judgement = judged(Policy(waiver=(WAIVER,)), today="2027-01-01", backends=("ollama",), **OLD_DRIVER)
    found = verdict(judgement, "ollama.driver.version")
    assert found.status == "not_met"
    assert "expired on 2027-01-01" in found.says
    assert judgement.worst == "not_met"


def test_a_waiver_never_touches_what_is_met() -> None:
    facts = OLD_DRIVER | {"driver": "580.95.05"}
    found = verdict(judged(Policy(waiver=(WAIVER,)), backends=("ollama",), **facts), "ollama.driver.version")
    assert found.status == "met"


def test_a_waiver_of_an_unknown_id_is_told() -> None:
    waiver = Waiver(id="ollama.driver.verzion", reason="typo", owner="ops", expires="2027-01-01")
    judgement = judged(Policy(waiver=(waiver,)), packages={})
    assert "names no verdict" in verdict(judgement, "policy.waiver.ollama.driver.verzion").says


def test_where_only_the_pin_stands_in_the_way_the_pin_is_what_is_said() -> None:
    snapshot = machine(capabilities=("12.0",), driver="570.124.06", packages={"torch": "2.7.0+cu128"})
    policy = Policy(pins=("torch==2.7.0",), forbidden=("xformers",))
    pinned = evaluate(snapshot, Intent(), ["vllm"], policy, today="2026-11-21")
    state = pinned.backends["vllm"]
    assert (state.status, state.first_broken) == ("blocked", "vllm.policy.torch")
    assert state.why == (
        "vLLM 0.31.0+cu129 needs torch==2.13.0 against the pin torch==2.7.0. The newest that keeps the pins is no way "
        "out: vLLM 0.9.2 installs xformers==0.0.30, which the project forbids."
    )
    assert all(v.status != "not_met" for v in pinned.verdicts if v.link == "driver")
    free = evaluate(snapshot, Intent(), ["vllm"], Policy(), today="2026-11-21").backends["vllm"]
    assert free.status == "limited"
    assert free.first_broken == "vllm.driver.cuda"


def test_a_release_that_keeps_the_pins_is_offered() -> None:
    snapshot = machine(capabilities=("12.0",), driver="570.124.06", packages={"torch": "2.7.0+cu128"})
    judgement = evaluate(snapshot, Intent(), ["vllm"], Policy(pins=("torch==2.7.0",)), today="2026-11-21")
    way_out = verdict(judgement, "vllm.backend.release")
    assert way_out.actual == "0.9.2"
    by_hand = next(c for way in way_out.ways_out for c in way.commands if c.startswith("uv pip install"))
    assert by_hand.endswith('"vllm==0.9.2" --torch-backend=cu128'), "the package index has torch 2.7 for CUDA 12.6"
    assert judgement.backends["vllm"].status != "blocked"


GOOD = """
pins = ["torch==2.7.0"]
forbidden = ["xformers"]
headroom_gib = 2.0
variables = { CUDA_VISIBLE_DEVICES = "0" }

[[waiver]]
id = "vllm.gpu.compute_capability"
reason = "old card, old release"
owner = "ops"
expires = "2027-01-31"
"""


def test_a_policy_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "envcheck.toml"
    path.write_text(GOOD)
    policy = load_policy(path)
    assert policy.pins == ("torch==2.7.0",)
    assert policy.waiver[0].owner == "ops"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"torch==2.7.0"', '"torch 2.7"', "pin 'torch 2.7' is not understood"),
        ('"torch==2.7.0"', '"==2.7.0"', "is not understood"),
        ('"2027-01-31"', '"soon"', "write a date"),
        ('owner = "ops"\n', "", "missing required field `owner`"),
        ("pins =", "pin =", "unknown field `pin`"),
        ("[[waiver]]", "[[waiver", "not valid TOML"),
        ("2.0", '"2"', "headroom_gib"),
    ],
)
def test_a_bad_policy_file_is_an_input_error_that_names_the_key(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    path = tmp_path / "envcheck.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as raised:
        load_policy(path)
    assert expected in str(raised.value)
    assert "envcheck.toml" in str(raised.value)


def test_a_policy_file_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_policy(tmp_path / "envcheck.toml")
