"""Reading safetensors headers: one file, shards, hostile files."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from envcheck.fit.safetensors_header import read_checkpoint, read_json, read_safetensors
from envcheck.schema.errors import InputError


def safetensors(tensors: dict[str, Any], room: int) -> bytes:
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + bytes(room)


def row(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD = {"__metadata__": {"format": "pt"}, "a": row("BF16", [4, 8], 0, 64), "b": row("I32", [4], 64, 80)}


def test_one_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(GOOD, 80))
    assert [(t.name, t.dtype, t.shape, t.nbytes) for t in read_safetensors(path)] == [
        ("a", "BF16", (4, 8), 64),
        ("b", "I32", (4,), 16),
    ]
    assert read_checkpoint(tmp_path) == read_safetensors(path)


def test_shards_are_those_the_index_names(tmp_path: Path) -> None:
    for number, name in ((1, "a"), (2, "b"), (3, "old")):
        (tmp_path / f"m-{number}.safetensors").write_bytes(safetensors({name: row("F32", [2], 0, 8)}, 8))
    index = {"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [tensor.name for tensor in read_checkpoint(tmp_path)] == ["a", "b"]
    (tmp_path / "m-2.safetensors").unlink()
    with pytest.raises(InputError, match=r"m-2\.safetensors is missing"):
        read_checkpoint(tmp_path)


BAD_INDICES = ["[]", '{"weight_map": 3}', '{"weight_map": {"a": "../x.safetensors"}}', "{", "[" * 99999]


@pytest.mark.parametrize("index", BAD_INDICES, ids=["list", "number", "outside", "cut", "deep"])
def test_bad_indices_give_one_sentence(tmp_path: Path, index: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError):
        read_checkpoint(tmp_path)


BAD = {
    "empty": b"",
    "short": b"\x01\x00",
    "2^60 header": struct.pack("<Q", 2**60) + b"{}",
    "past the end": struct.pack("<Q", 500) + b"{}",
    "not json": struct.pack("<Q", 4) + b"{{{{",
    "deep json": struct.pack("<Q", 90_000) + b"[" * 90_000,
    "a list": struct.pack("<Q", 2) + b"[]",
    "no dtype": safetensors({"a": {"shape": [1], "data_offsets": [0, 4]}}, 4),
    "one offset": safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, 4),
    "outside": safetensors({"a": row("F32", [4], 0, 16)}, 8),
    "backwards": safetensors({"a": row("F32", [0], 8, 0)}, 8),
    "wrong size": safetensors({"a": row("F32", [4], 0, 8)}, 8),
    "negative": safetensors({"a": row("F32", [-4], 0, 16)}, 16),
    "huge": safetensors({"a": row("F32", [2**40, 2**40], 0, 16)}, 16),
    "text": safetensors({"a": row("F32", ["x"], 0, 16)}, 16),  # type: ignore[list-item]
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_bad_files_give_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(InputError) as raised:
        read_safetensors(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 500


def test_json_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "config.json")
