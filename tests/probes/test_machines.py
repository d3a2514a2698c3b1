"""The machine files: they are what the catalogue makes, replay byte-equal, and read as the machine they stand for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from envcheck import api
from envcheck.look import parse
from envcheck.machine_files import read_snapshot
from envcheck.schema.evidence import EvidenceFile
from envcheck.schema.facts import Known, Unknown, value_of
from envcheck.schema.snapshot import Snapshot
from tests.machines.catalogue import MACHINES
from tests.machines.make import FOLDER

FILES = sorted(FOLDER.glob("*.json"))
STATES = {
    "ubuntu22-8x-h200-fabric-down": "fabric_manager",
    "ubuntu22-rtx4090-mismatch": "version_mismatch",
    "ubuntu24-rtx3090-uvm-missing": "uvm_missing",
    "debian12-rtx3060-module-not-loaded": "module_not_loaded",
    "ubuntu22-2x-rtx3090-hung": "hung",
    "ubuntu24-rtx4090-no-permission": "permission",
    "wsl2-rtx4090": "ready",
    "ubuntu22-8x-h100": "ready",
}


def test_there_are_enough_and_each_is_made_by_the_catalogue() -> None:
    assert len(FILES) >= 40
    assert {path.stem for path in FILES if _file(path).envcheck == "synthetic"} == set(MACHINES)


def _file(path: Path) -> EvidenceFile:
    return msgspec.json.decode(path.read_bytes(), type=EvidenceFile)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_machine_replays_byte_equal(path: Path) -> None:
    if path.stem in MACHINES:
        assert _file(path) == msgspec.json.decode(msgspec.json.encode(MACHINES[path.stem]), type=EvidenceFile)
    snapshot = read_snapshot(path)
    written = msgspec.json.encode(snapshot)
    assert msgspec.json.encode(parse(_file(path))) == written
    assert msgspec.json.decode(written, type=Snapshot) == snapshot
    assert msgspec.json.encode(api.judge(snapshot)) == msgspec.json.encode(api.judge(parse(_file(path))))


@pytest.mark.parametrize(("name", "state"), STATES.items())
def test_states(name: str, state: str) -> None:
    assert value_of(parse(MACHINES[name]).nvidia.state) == state


def test_a_hung_driver_still_shows_both_gpus() -> None:
    gpus = value_of(parse(MACHINES["ubuntu22-2x-rtx3090-hung"]).gpus)
    assert gpus is not None
    assert [value_of(gpu.name) for gpu in gpus] == ["NVIDIA GeForce RTX 3090"] * 2
    assert isinstance(gpus[1].memory_free_mib, Unknown)


def test_discrete_comes_before_integrated() -> None:
    gpus = value_of(parse(MACHINES["ubuntu24-arc-a770-beside-uhd"]).gpus)
    assert gpus is not None
    assert [gpu.kind for gpu in gpus] == ["discrete", "integrated"]


def test_laptops_keep_their_own_row() -> None:
    snapshot = parse(MACHINES["ubuntu22-laptop-max-q"])
    assert isinstance(snapshot.gpus, Known)
    assert snapshot.alias.endswith("max-q-design")
