"""`install` and `bundle` for machines that come as files: plans, refusals and exit codes; nothing is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Envcheck

LINUX = 'os = "linux"\narch = "x86_64"\nglibc = "2.35"\npython = "3.12.3"\n'
H100 = LINUX + 'driver = "535.183.01"\ngpus = [{ name = "NVIDIA H100 80GB HBM3" }]\n'
WINDOWS = 'os = "windows"\narch = "x86_64"\npython = "3.12.3"\ngpus = []\n'


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    path = tmp_path / "m.toml"
    path.write_text(H100)
    return path


def test_the_index_of_the_wheel_is_in_the_plan(envcheck: Envcheck, machine: Path) -> None:
    done = envcheck("install", "vllm", "--assume", str(machine), "--format", "json")
    assert done.returncode == 0
    plan = json.loads(done.stdout)
    (own,) = plan["decision"]["indexes"]
    assert (own["package"], own["url"]) == ("vllm", "https://wheels.vllm.ai/0.31.0/cu129")
    assert own["source"]
    assert own["checked"]
    assert any(own["url"] in step["argv"] for step in plan["steps"])
    said = envcheck("install", "vllm", "--assume", str(machine)).stdout
    assert "vllm==0.31.0+cu129 (vllm from https://wheels.vllm.ai/0.31.0/cu129 and nowhere else)" in said
    assert "where that index cannot be reached: vllm 0.19.1 with torch 2.10.0 (cu128)" in said


def test_a_snapshot_gives_the_plan_that_its_machine_would_get(envcheck: Envcheck, machine: Path) -> None:
    checked = json.loads(envcheck("check", "--backend", "vllm", "--assume", str(machine), "--format", "json").stdout)
    (release,) = (v for v in checked["verdicts"] if v["id"] == "vllm.backend.release")
    plan = json.loads(envcheck("install", "vllm", "--assume", str(machine), "--format", "json").stdout)
    words = [word for step in plan["steps"] for word in step["says"].replace(",", " ").split()]
    assert f"vllm=={release['actual']}" in words


@pytest.mark.parametrize(
    ("verb", "pins", "code", "says"),
    [
        ("install", ["torch==1.0.0"], 1, "no version works"),
        ("bundle", ["torch==1.0.0"], 1, "no version works"),
        ("install", ["vllm==0.33.0"], 1, "no version works"),
        ("bundle", ["vllm==0.33.0"], 1, "driver ≥ 580; this is 535.183.01. Give up what stands in the way"),
        ("install", ["torch==2.7.0", "torch==2.8.0"], 2, "contradict each other"),
        ("bundle", ["torch==2.7.0", "torch==2.8.0"], 2, "contradict each other"),
        ("install", ["torch"], 2, "name==version"),
        ("bundle", ["torch"], 2, "name==version"),
    ],
)
def test_pins_that_cannot_be_met_end_alike(
    envcheck: Envcheck, machine: Path, tmp_path: Path, verb: str, pins: list[str], code: int, says: str
) -> None:
    options = [word for pin in pins for word in ("--pin", pin)]
    options += ["-o", str(tmp_path / "house")] if verb == "bundle" else []
    done = envcheck(verb, "vllm", "--assume", str(machine), *options)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) <= 1
    assert not (tmp_path / "house").exists()


def test_a_plan_for_windows_is_one_to_paste(envcheck: Envcheck, tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text(WINDOWS)
    done = envcheck("install", "web", "--assume", str(path), "--target", "C:\\my env")
    assert done.returncode == 0
    assert "> uv venv --python 3.12 'C:\\my env'" in done.stdout
    assert "'fastapi>=" in done.stdout
    assert done.stdout.rstrip().endswith("in PowerShell and in this order.")
    assert "rollback" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("install",), "Name at least one profile"),
        (("install", "vlm"), "did you mean vllm"),
        (("install", "web", "--offline"), "--offline has nothing to install from"),
        (("install", "web", "--wheelhouse", "nowhere"), "is not a folder"),
        (("install", "web", "--target", "a", "--python", "b"), "give one of them"),
        (("install", "web", "--target", "line\nbreak"), "line break"),
        (("bundle", "wbe", "-o", "house"), "did you mean web"),
    ],
)
def test_bad_input_is_one_sentence(envcheck: Envcheck, arguments: tuple[str, ...], says: str) -> None:
    done = envcheck(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_bundle_needs_to_know_the_python_it_is_for(envcheck: Envcheck, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('os = "linux"\nglibc = "2.35"\ngpus = []\n')
    done = envcheck("bundle", "web", "--assume", "m.toml", "-o", "house")
    assert done.returncode == 2
    assert "do not say for which Python" in done.stderr
