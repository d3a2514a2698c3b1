"""Files that hold machines: every way they can be wrong becomes one sentence and exit code 2."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from envcheck.host import Host
from envcheck.look import collect, parse
from envcheck.machine_files import read_assumption, read_snapshot
from envcheck.schema.errors import InputError
from envcheck.schema.evidence import EvidenceFile

BROKEN: list[tuple[str, bytes, str]] = [
    ("empty", b"", "is empty"),
    ("blank", b" \n\t", "is empty"),
    ("binary", b"\x7fELF\xff\xfe\x00", "not UTF-8"),
    ("truncated", b'{"kind": "envcheck-snapshot", "evi', "not complete JSON"),
    ("other", b'{"hello": 1}', "no snapshot"),
    ("array", b"[1,2]", "no snapshot"),
    ("nested", b"[" * 100_000, "nested.json"),
    ("version", b'{"kind":"envcheck-snapshot","schema_version":"99","envcheck":"9.0","evidence":{}}', "version '99'"),
]


@pytest.mark.parametrize(("name", "content", "says"), BROKEN, ids=[b[0] for b in BROKEN])
def test_broken_snapshots(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / f"{name}.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_snapshot(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_snapshot(tmp_path / "none.json")
    with pytest.raises(InputError, match="is a folder"):
        read_assumption(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_snapshot(Path("bad\0name"))


def test_hostile_evidence_is_only_unreadable(tmp_path: Path) -> None:
    sections = [*parse(EvidenceFile()).__struct_fields__]
    shapes: tuple[object, ...] = (
        1,
        [],
        "x",
        {"a": {"b": [None]}},
        {"failed": 3},
        {"gpus": [{}], "packages": [1, {"name": None}]},
    )
    for hostile in shapes:
        evidence = dict.fromkeys(sections, hostile)
        path = tmp_path / "hostile.json"
        path.write_bytes(msgspec.json.encode(EvidenceFile(evidence=evidence)))
        read_snapshot(path)


def test_a_snapshot_replays_to_the_same_machine(tmp_path: Path) -> None:
    file, _ = collect(Host(ports=False))
    path = tmp_path / "m.json"
    path.write_bytes(msgspec.json.encode(file))
    assert read_snapshot(path) == parse(file)
