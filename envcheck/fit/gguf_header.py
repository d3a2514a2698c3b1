"""The header and tensor table of a GGUF file: metadata and where each tensor lies, never the weights themselves.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 1 to 3, both byte orders). The file is
mapped, so that a file of any size costs only the pages of its header. Every count and length is checked against what
the file can hold before anything is allocated; a file that is not what it says gives one InputError sentence.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from envcheck.fit.gguf_types import BLOCKS
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record
from envcheck.schema.model import StoredTensor

MAX_PAIRS = 65_536
"""More metadata pairs than any real file has (they hold tens)."""
MAX_TENSORS = 1_048_576
MAX_STRING = 1 << 24
"""Longest string read: chat templates are the longest real ones (under 100 kB)."""
MAX_VALUES = 4_000_000
"""Array entries read or stepped over in one header: vocabulary, scores and merges of real files stay under 1.5
million."""
KEEP_ARRAY = 4096
"""Arrays up to this length are returned (per-layer lists); longer ones only by their length."""

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_TYPE_NAMES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
    30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4",
}  # fmt: skip


class LongArray(Record):
    """An array too long to return: how many entries it has."""

    length: int


class GgufHeader(Record):
    """What a GGUF file says before its weights begin."""

    version: int
    metadata: dict[str, Any]
    """Values by key; arrays of more than KEEP_ARRAY entries are a LongArray."""
    tensors: tuple[StoredTensor, ...]
    data_offset: int
    """Byte at which the weights begin."""


class _Reader:
    """Reads little- or big-endian values from a mapped file, never past its end."""

    def __init__(self, mapped: mmap.mmap, path: Path) -> None:
        self.mapped, self.path, self.at, self.size = mapped, path, 4, len(mapped)
        self.wide, self.left = "Q", MAX_VALUES
        version = struct.unpack_from("<I", mapped, 4)[0] if self.size >= 8 else 0
        self.order = "<" if version & 0xFFFF else ">"

    def fail(self, what: str) -> InputError:
        return InputError(f"{self.path} is not a readable GGUF file: {what} (at byte {self.at} of {self.size})")

    def take(self, code: str) -> Any:
        width = struct.calcsize(code)
        if self.at + width > self.size:
            raise self.fail("it ends in the middle of its header; the download may be incomplete")
        value = struct.unpack_from(self.order + code, self.mapped, self.at)[0]
        self.at += width
        return value

    def length(self, limit: int, what: str) -> int:
        count = int(self.take(self.wide))
        if count > limit:
            raise self.fail(f"it claims {count} {what}")
        return count

    def skip(self, width: int) -> None:
        if self.at + width > self.size:
            raise self.fail("it ends in the middle of its header; the download may be incomplete")
        self.at += width

    def text(self) -> str:
        length = self.length(MAX_STRING, "bytes of text in one string")
        start = self.at
        self.skip(length)
        return self.mapped[start : self.at].decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self.array()
        code = _SCALARS.get(kind)
        if code is None:
            raise self.fail(f"value type {kind} does not exist")
        return self.take(code)

    def array(self) -> Any:
        kind = int(self.take("I"))
        count = self.length(self.left, "entries in its arrays, more than any model has")
        self.left -= count
        if kind == _ARRAY:
            raise self.fail("arrays of arrays are not something models use")
        if count <= KEEP_ARRAY:
            return tuple(self.value(kind) for _ in range(count))
        code = _SCALARS.get(kind)
        if code is not None:
            self.skip(count * struct.calcsize(code))
        elif kind == _STRING:
            self.skip_texts(count)
        else:
            raise self.fail(f"value type {kind} does not exist")
        return LongArray(length=count)

    def skip_texts(self, count: int) -> None:
        """Step over `count` strings (a vocabulary): one length at a time, no text decoded."""
        mapped, at, size = self.mapped, self.at, self.size
        unpack, width = struct.Struct(self.order + self.wide).unpack_from, struct.calcsize(self.wide)
        if count * width > size - at:
            raise self.fail(f"it claims {count} strings in one array")
        last = size - width
        for _ in range(count):
            if at > last:
                break
            at += width + unpack(mapped, at)[0]
        self.at = min(at, size)
        if at > last + width:
            raise self.fail("a string in an array reaches past the end of the file")


def read_header(path: Path) -> GgufHeader:
    """Metadata and tensor table of the GGUF file at `path`.

    Raises InputError when the file cannot be opened, is not GGUF, is cut off, or claims what it cannot hold.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            if mapped[:4] != b"GGUF":
                raise InputError(f"{path} is not a GGUF file: it does not begin with the letters GGUF")
            return _read(_Reader(mapped, path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read(reader: _Reader) -> GgufHeader:
    version = int(reader.take("I"))
    if version not in (1, 2, 3):
        raise reader.fail(f"GGUF version {version} is not known")
    reader.wide = "I" if version == 1 else "Q"
    tensors = reader.length(MAX_TENSORS, "tensors")
    pairs = reader.length(MAX_PAIRS, "metadata pairs")
    metadata: dict[str, Any] = {}
    for _ in range(pairs):
        key = reader.text()
        metadata[key] = reader.value(int(reader.take("I")))
    listed, placed = [], []
    for _ in range(tensors):
        tensor, offset = _tensor(reader)
        listed.append(tensor)
        placed.append((offset, tensor.nbytes, tensor.name))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20:
        raise reader.fail(f"an alignment of {alignment!r} makes no sense")
    start = -(-reader.at // alignment) * alignment
    _refuse_overlaps(reader, placed, start)
    return GgufHeader(version=version, metadata=metadata, tensors=tuple(listed), data_offset=start)


def _tensor(reader: _Reader) -> tuple[StoredTensor, int]:
    name = reader.text()
    dimensions = int(reader.take("I"))
    if not 0 <= dimensions <= 8:
        raise reader.fail(f"the tensor {name!r} has {dimensions} dimensions")
    shape = tuple(int(reader.take(reader.wide)) for _ in range(dimensions))
    number = int(reader.take("I"))
    offset = int(reader.take("Q"))
    kind = _TYPE_NAMES.get(number)
    if kind is None:
        raise reader.fail(f"the tensor {name!r} has type {number}, which llama.cpp's main line does not have")
    elements = 1
    for width in shape:
        elements *= width
        if width == 0 or elements > 1 << 50:
            raise reader.fail(f"the tensor {name!r} claims the shape {'x'.join(map(str, shape))}")
    block, size = BLOCKS[kind]
    columns = shape[0] if shape else 1
    nbytes = elements // columns * -(-columns // block) * size
    return StoredTensor(name=name, dtype=kind, shape=shape, nbytes=nbytes), offset


def _refuse_overlaps(reader: _Reader, placed: list[tuple[int, int, str]], start: int) -> None:
    """Tensors must lie one after another inside the file."""
    end, before = 0, ""
    for offset, nbytes, name in sorted(placed):
        if offset < end:
            raise reader.fail(f"the tensors {before!r} and {name!r} overlap")
        end, before = offset + nbytes, name
    if start + end > reader.size:
        raise reader.fail(f"the tensor {before!r} would end at byte {start + end}; the download may be incomplete")
