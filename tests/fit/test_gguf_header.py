"""Reading GGUF headers: real layouts, truncated files, hostile counts."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import gguf as official
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit.gguf_facts import facts_from_gguf
from envcheck.fit.gguf_header import LongArray, read_header
from envcheck.fit.tensors import parameter_count
from envcheck.schema.errors import InputError
from tests.fit.gguf_bytes import gguf, small_llama, tensor_row, text, value

HEAD = b"GGUF" + struct.pack("<I", 3)


def written(folder: Path, data: bytes, name: str = "model.gguf") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_header_agrees_with_the_official_reader(tmp_path: Path) -> None:
    path = written(tmp_path, gguf(*small_llama()))
    ours, theirs = read_header(path), official.GGUFReader(path)
    assert [(t.name, t.dtype, t.shape, t.nbytes) for t in ours.tensors] == [
        (t.name, t.tensor_type.name, tuple(int(w) for w in t.shape), int(t.n_bytes)) for t in theirs.tensors
    ]
    assert ours.data_offset == theirs.data_offset
    assert ours.metadata["llama.block_count"] == 2
    assert ours.metadata["tokenizer.ggml.tokens"] == LongArray(length=5000)


def test_both_byte_orders_say_the_same(tmp_path: Path) -> None:
    little = read_header(written(tmp_path, gguf(*small_llama())))
    big = read_header(written(tmp_path, gguf(*small_llama(), order=">"), "big.gguf"))
    assert (little.metadata, little.tensors) == (big.metadata, big.tensors)


def test_a_sparse_file_of_400_gb_is_read_by_its_header(tmp_path: Path) -> None:
    path = written(tmp_path, gguf(*small_llama()))
    with path.open("r+b") as file:
        file.truncate(400 * 2**30)
    assert len(read_header(path).tensors) == 21


def test_facts_of_a_dense_model(tmp_path: Path) -> None:
    path = written(tmp_path, gguf(*small_llama()))
    facts = facts_from_gguf(read_header(path), path)
    assert (facts.name, facts.layer_count, facts.vocab, facts.tied, facts.mixers) == ("Small", 2, 5000, False, "a")
    assert facts.attention is not None
    assert (facts.attention.heads, facts.attention.kv_heads, facts.attention.key_dim) == (4, 2, 16)
    assert parameter_count(facts) == 2 * 5000 * 64 + 64 + 2 * (2 * 64 + 64 * (64 + 32 + 32 + 64) + 3 * 64 * 160)


def test_facts_of_layers_that_differ(tmp_path: Path) -> None:
    metadata, tensors = small_llama(4)
    changes = {"llama.attention.head_count_kv": [2, 0, 1, 2], "llama.attention.sliding_window": 512,
               "llama.attention.sliding_window_pattern": [True, False, True, False]}  # fmt: skip
    path = written(tmp_path, gguf({**metadata, **changes}, tensors))
    layers = facts_from_gguf(read_header(path), path).layers()
    assert [layer.attention.kv_heads if layer.attention else 0 for layer in layers] == [2, 0, 1, 2]  # type: ignore[union-attr]
    windows = [getattr(layer.attention, "window", None) for layer in layers]
    assert windows == [512, None, 512, None]


ONE = HEAD + struct.pack("<QQ", 0, 1) + text("k")
TENSOR = HEAD + struct.pack("<QQ", 1, 0)
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "not gguf": b"PK\x03\x04" + bytes(100),
    "only magic": b"GGUF",
    "version 99": b"GGUF" + struct.pack("<IQQ", 99, 0, 0),
    "2^60 tensors": HEAD + struct.pack("<QQ", 2**60, 0),
    "2^60 pairs": HEAD + struct.pack("<QQ", 0, 2**60),
    "2^60 byte key": HEAD + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 2**60),
    "key past the end": HEAD + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 2**20),
    "value type 77": ONE + struct.pack("<I", 77),
    "2^60 entry array": ONE + struct.pack("<IIQ", 9, 8, 2**60),
    "array past the end": ONE + struct.pack("<IIQ", 9, 4, 10**6),
    "strings past the end": ONE + struct.pack("<IIQQ", 9, 8, 5000, 2**62) + bytes(50_000),
    "nested arrays": ONE + struct.pack("<IIQ", 9, 9, 4) + bytes(100),
    "many long arrays": HEAD
    + struct.pack("<QQ", 0, 99)
    + (text("k") + struct.pack("<IIQ", 9, 0, 10**6) + bytes(10**6)) * 5,
    "9 dimensions": TENSOR + tensor_row("t", [1] * 9, 0, 0),
    "huge shape": TENSOR + tensor_row("t", [2**40, 2**40], 0, 0),
    "empty dimension": TENSOR + tensor_row("t", [0, 4], 0, 0),
    "unknown tensor type": TENSOR + tensor_row("t", [32], 4242, 0),
    "tensor outside": TENSOR + tensor_row("t", [32], 0, 2**40),
    "overlapping": HEAD
    + struct.pack("<QQ", 2, 0)
    + tensor_row("a", [32], 0, 0)
    + tensor_row("b", [32], 0, 64)
    + bytes(999),
    "alignment 0": HEAD + struct.pack("<QQ", 0, 1) + text("general.alignment") + value(0),
}  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_give_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    with pytest.raises(InputError) as raised:
        read_header(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_said() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_header(Path("/nonexistent/model.gguf"))


@pytest.mark.parametrize(
    "changes",
    [
        {"llama.block_count": "two"}, {"llama.block_count": 0}, {"llama.embedding_length": 0},
        {"llama.attention.head_count": 0}, {"general.architecture": ""}, {"llama.attention.head_count_kv": [2]},
        {"llama.feed_forward_length": "wide"},
    ],
)  # fmt: skip
def test_contradictory_metadata_gives_one_sentence(tmp_path: Path, changes: dict[str, Any]) -> None:
    metadata, tensors = small_llama()
    path = written(tmp_path, gguf({**metadata, **changes}, tensors))
    with pytest.raises(InputError, match=str(path.name)):
        facts_from_gguf(read_header(path), path)


WHOLE = gguf(*small_llama(1), weights=False)


@settings(max_examples=120, deadline=None)
@given(st.integers(min_value=0, max_value=len(WHOLE) - 1))
def test_every_truncation_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = written(tmp_path_factory.mktemp("cut"), WHOLE[:length])
    with pytest.raises(InputError):
        read_header(path)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=12))
def test_damaged_files_never_crash(tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes) -> None:
    data = WHOLE[:at] + noise + WHOLE[at + len(noise) :]
    path = written(tmp_path_factory.mktemp("noise"), data)
    with contextlib.suppress(InputError):
        assert facts_from_gguf(read_header(path), path).layer_count > 0
