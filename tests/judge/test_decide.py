"""What to install: named machines, and laws over all of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from envcheck.importers import assume
from envcheck.install.profiles import load
from envcheck.judge.decide import Decided, decide
from envcheck.judge.policy import Policy
from envcheck.schema.errors import InputError

CASES = tomllib.loads((Path(__file__).parent.parent / "cases" / "install" / "decisions.toml").read_text())["case"]


def decided(machine: dict[str, Any], profiles: list[str], pins: list[str] | None = None) -> Decided:
    libc = machine.pop("libc", None)
    snapshot = assume.to_snapshot(assume.read(msgspec.json.encode(machine).decode(), "case"))
    if libc:
        fact = {"fact": "known", "value": libc, "source": "assumed"}
        os = msgspec.convert({**msgspec.to_builtins(snapshot.os), "libc": fact}, type(snapshot.os))
        snapshot = msgspec.structs.replace(snapshot, os=os)
    return decide(snapshot, load(profiles), pins or [])


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_named_decisions(case: dict[str, Any]) -> None:
    found = decided(dict(case["machine"]), case["profiles"], case.get("pins"))
    said = " ".join(block.says for block in found.blocked)
    if "blocked" in case:
        assert case["blocked"] in said
        assert all(block.remedy for block in found.blocked)
    else:
        assert not said
    for key in ("torch", "accelerator"):
        if key in case:
            assert getattr(found.decision, key) == case[key], (found.decision.because, found.decision.rejected)
    assert case.get("because", "") in " ".join(found.decision.because)
    assert case.get("not", "") in " ".join(r.choice for r in found.decision.rejected)
    assert case.get("asks") in (None, *found.choice.requirements), found.choice
    if "index" in case:
        assert [own.url for own in found.choice.indexes] == [case["index"]] * bool(case["index"])
    if "instead" in case:
        instead = found.instead.choice.requirements if found.instead else ("",)
        assert case["instead"] in instead, instead
    if "remedy" in case:
        assert case["remedy"] in " ".join(block.remedy.says for block in found.blocked if block.remedy)


def test_there_are_sixty_named_cases() -> None:
    assert len({c["name"] for c in CASES}) >= 60


@pytest.mark.parametrize(
    ("pins", "says"),
    [
        (["torch==2.7.0", "torch==2.8.0"], "contradict"),
        (["torch"], "name==version"),
        (["torch~2"], "name==version"),
    ],
)
def test_pins_that_cannot_be_followed(pins: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        decided({"gpus": []}, ["transformers"], pins)


def test_an_exact_pin_is_the_version_decided_on() -> None:
    machine = {"os": "linux", "arch": "x86_64", "glibc": "2.39", "python": "3.11.13", "driver": "570.124.06"}
    found = decided({**machine, "gpus": [{"name": "NVIDIA GeForce RTX 5080"}]}, ["transformers"], ["torch==2.7.0"])
    assert found.decision.torch == "2.7.0"
    assert "torch==2.7.0" in found.choice.requirements
    assert found.choice.torch_elsewhere == ("2.7.0+cu128",)


@pytest.mark.parametrize(
    ("driver", "pins", "elsewhere"),
    [
        ("570.124.06", ["torch==2.10.0"], ("2.10.0+cu128", "2.10.0")),
        ("570.124.06", ["torch==2.13.0"], ("2.13.0+cu129",)),
        ("580.95.05", ["torch==2.13.0"], ("2.13.0+cu130", "2.13.0")),
    ],
)
def test_the_package_index_stands_in_where_it_serves_the_same_variant(
    driver: str, pins: list[str], elsewhere: tuple[str, ...]
) -> None:
    machine = {"os": "linux", "arch": "x86_64", "glibc": "2.39", "python": "3.12.3", "driver": driver}
    found = decided({**machine, "gpus": [{"name": "NVIDIA GeForce RTX 5080"}]}, ["transformers"], pins)
    assert found.choice.torch_elsewhere == elsewhere


@pytest.mark.parametrize(
    ("gpus", "kernels"),
    [
        (["NVIDIA GeForce RTX 4090", "NVIDIA GeForce GTX 1080 Ti"], {"sm_86", "sm_60"}),
        (["NVIDIA TITAN V"], {"sm_70"}),
        (["Intel Arc B580"], set()),
        ([], set()),
    ],
)
def test_the_kernels_that_the_gpus_run_are_part_of_the_decision(gpus: list[str], kernels: set[str]) -> None:
    machine = {"os": "linux", "arch": "x86_64", "glibc": "2.39", "python": "3.11.13", "driver": "580.95.05"}
    found = decided({**machine, "gpus": [{"name": name} for name in gpus]}, ["transformers"])
    assert set(found.decision.kernels) == kernels, found.decision


def test_a_ban_on_what_the_only_release_brings_is_the_reason() -> None:
    facts = {
        "python": "3.11.13",
        "glibc": "2.39",
        "driver": "570.124.06",
        "gpus": [{"name": "NVIDIA GeForce RTX 5080"}],
    }
    snapshot = assume.to_snapshot(assume.read(msgspec.json.encode({"os": "linux", **facts}).decode(), "case"))
    found = decide(snapshot, load(["vllm"]), (), Policy(pins=("torch==2.7.0",), forbidden=("xformers",)))
    assert "vllm 0.9.2: installs xformers==0.0.30, which the project forbids" in found.blocked[0].says


@pytest.mark.parametrize(
    ("machine", "pins", "says"),
    [
        (
            {"driver": "580.95.05", "gpus": [{"name": "NVIDIA GeForce GTX 1080 Ti"}]},
            ["torch==2.15.0"],
            "2.14.1 (cu126)",
        ),
        ({"driver": "390.48", "gpus": [{"name": "NVIDIA GeForce GTX 1080 Ti"}]}, [], "Update the NVIDIA driver"),
        ({"driver": "580.95.05", "gpus": [{"name": "NVIDIA GeForce GTX 680"}]}, [], "llama.cpp or Ollama"),
    ],
)
def test_the_way_out_is_the_nearest_one(machine: dict[str, Any], pins: list[str], says: str) -> None:
    base = {"os": "linux", "arch": "x86_64", "glibc": "2.39", "python": "3.11.9"}
    (block,) = decided({**base, **machine}, ["embeddings"], pins).blocked
    assert block.remedy is not None
    assert says in block.remedy.says


def test_a_forbidden_pin() -> None:
    snapshot = assume.to_snapshot(assume.read("gpus = []", "case"))
    with pytest.raises(InputError, match="forbidden"):
        decide(snapshot, load(["web"]), ["xformers==0.0.35"], Policy(forbidden=("xformers",)))


def test_unknown_profiles_are_answered_with_near_ones() -> None:
    with pytest.raises(InputError, match="did you mean transformers"):
        load(["transformer"])


DRIVERS = [
    "450.80.02",
    "470.82.01",
    "525.60.13",
    "535.104.05",
    "550.54.14",
    "570.26",
    "580.65.06",
    "595.45.04",
    "610.43.02",
]
CARDS = ["NVIDIA TITAN V", "Tesla T4", "NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 5090", "Tesla V100-SXM2-32GB"]


@pytest.mark.parametrize("gpu", CARDS)
def test_more_driver_never_takes_a_build_away(gpu: str) -> None:
    base = {"os": "linux", "arch": "x86_64", "glibc": "2.39", "python": "3.11.9", "gpus": [{"name": gpu}]}
    found = [decided({**base, "driver": driver}, ["embeddings"]).decision.torch for driver in DRIVERS]
    lines = [tuple(map(int, (torch or "0.0").split(".")[:2])) for torch in found]
    assert lines == sorted(lines)
