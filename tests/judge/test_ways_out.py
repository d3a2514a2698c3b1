"""Ways out: in the order of what they change, each once, and the release that runs with the environment made for it."""

from __future__ import annotations

import tomllib
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.importers import assume
from envcheck.judge.evaluate import evaluate
from envcheck.judge.ways_out import ranked, scope_of
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import SCOPES, Intent, Judgement, Remedy, Verdict

MACHINES = sorted((Path(__file__).parent.parent / "machines").glob("*.toml"))
EVERY = [Remedy(says=scope, commands=("x",), scope=scope) for scope in SCOPES]


def machine(**changes: str) -> Snapshot:
    facts = {"os": "linux", "distro": "ubuntu-22.04", "glibc": "2.35", "python": "3.12.3"} | changes
    text = "".join(f'{k} = "{v}"\n' for k, v in facts.items()) + 'gpus = [{ name = "NVIDIA GeForce RTX 4090" }]\n'
    return assume.to_snapshot(assume.read(text, "m.toml"))


def verdict(judgement: Judgement, name: str) -> Verdict:
    return next(v for v in judgement.verdicts if v.id == name)


@pytest.mark.parametrize("given_order", list(permutations(EVERY, 3)), ids=lambda rs: "-".join(r.says for r in rs))
def test_any_order_becomes_the_order_of_what_changes(given_order: tuple[Remedy, ...]) -> None:
    assert [r.scope for r in ranked(given_order)] == sorted((r.scope for r in given_order), key=SCOPES.index)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*EVERY, Remedy(says="advice"), Remedy(says="typed later", scope="driver")])))
def test_nothing_is_lost_and_nothing_is_said_twice(remedies: list[Remedy]) -> None:
    found = ranked(remedies)
    assert {r.says for r in found} == {r.says for r in remedies}
    assert len(set(found)) == len(found)
    assert all(r.scope is None for r in found[len([r for r in found if r.scope]) :])


@pytest.mark.parametrize(
    ("remedy", "scope"),
    [
        (Remedy(says="Set it.", commands=("export CUDA_VISIBLE_DEVICES=0",)), "setting"),
        (Remedy(says="Start it so.", commands=("vllm serve MODEL --dtype half",)), "setting"),
        (Remedy(says="Elsewhere.", commands=("uv venv .v", "uv pip install --python .v vllm")), "new_environment"),
        (Remedy(says="Here.", commands=("pip install 'numpy<2'",)), "this_environment"),
        (Remedy(says="Compiler.", commands=("apt-get install build-essential",), needs_root=True), "system"),
        (Remedy(says="Load it.", commands=("modprobe nvidia_uvm",), needs_root=True), "system"),
        (Remedy(says="Update the NVIDIA driver to 580.", needs_root=True, risk="restart"), "driver"),
        (Remedy(says="Think again."), None),
        (Remedy(says="Both.", commands=("nvidia-smi", "pip install x"), scope="hardware"), "hardware"),
    ],
    ids=lambda value: value.says if isinstance(value, Remedy) else str(value),
)
def test_what_a_remedy_changes_is_read_from_its_commands(remedy: Remedy, scope: str | None) -> None:
    assert scope_of(remedy) == scope


@pytest.mark.parametrize("path", MACHINES, ids=lambda p: p.stem)
def test_every_broken_requirement_names_its_ways_out_in_order(path: Path) -> None:
    assert tomllib.loads(path.read_text())
    found = evaluate(assume.to_snapshot(assume.read(path.read_text(), path.name)), Intent())
    for one in found.verdicts:
        ranks = [len(SCOPES) if w.scope is None else SCOPES.index(w.scope) for w in one.ways_out]
        assert ranks == sorted(ranks), one.id
        assert one.remedy == (one.ways_out[0] if one.ways_out else None)
        if one.status == "met":
            assert not one.ways_out, one.id


def test_an_old_driver_is_offered_the_newest_wheel_that_it_serves_before_a_new_driver() -> None:
    ways = verdict(evaluate(machine(driver="535.216.01"), Intent(), ["vllm"]), "vllm.driver.cuda").ways_out
    assert [w.scope for w in ways] == ["new_environment", "new_environment", "driver"]
    venv, install = ways[0].commands
    assert venv == "uv venv --python 3.12 .envs/vllm"
    assert install.startswith('uv pip install --python .envs/vllm "vllm==0.31.0+cu129" --extra-index-url https://')
    assert install.endswith("/0.31.0/cu129 --torch-backend=cu129")
    assert ways[1].commands == ('envcheck install vllm --target .envs/vllm --pin "vllm==0.31.0+cu129"',)


@pytest.mark.parametrize(
    ("version", "torch", "status"),
    [
        ("0.31.0+cu129", "2.13.0+cu129", "met"),
        ("0.31.0+cu129", "2.13.0", "met"),
        ("0.23.0+cu129", "2.11.0+cu129", "met"),
        ("0.31.0", "2.13.0", "not_met"),
    ],
)
def test_an_installed_wheel_with_a_label_is_judged_by_its_own_runtime(version: str, torch: str, status: str) -> None:
    packages = f'{{ vllm = "{version}" }}' if torch == "2.13.0" else f'{{ vllm = "{version}", torch = "{torch}" }}'
    lines = ('os = "linux"', 'python = "3.12.3"', 'driver = "570.124.06"', f"packages = {packages}")
    text = "\n".join([*lines, 'gpus = [{ name = "NVIDIA GeForce RTX 4090" }]'])
    judgement = evaluate(assume.to_snapshot(assume.read(text, "m.toml")), Intent(), ["vllm"])
    assert verdict(judgement, "vllm.driver.cuda").status == status


def test_a_release_that_takes_another_python_gets_one() -> None:
    ways = verdict(evaluate(machine(driver="535.216.01", python="3.9.18"), Intent(), ["vllm"]), "vllm.python.version")
    assert ways.status == "not_met"
    assert "uv venv --python 3.9 .envs/vllm" in [c for w in ways.ways_out for c in w.commands]


def test_a_machine_without_a_gpu_gets_the_cpu_wheel() -> None:
    text = 'os = "linux"\ndistro = "Debian 12"\npython = "3.12.4"\npackages = {}\ngpus = []\ncpu_flags = ["avx2"]\n'
    judgement = evaluate(assume.to_snapshot(assume.read(text, "m.toml")), Intent(), ["vllm"])
    _, install = verdict(judgement, "vllm.backend.release").ways_out[0].commands
    assert '"vllm==0.29.0+cpu" --extra-index-url https://wheels.vllm.ai/0.29.0/cpu --torch-backend=cpu' in install
