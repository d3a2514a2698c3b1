"""The headers of safetensors files: names, types, shapes and bytes of the tensors, never the weights.

Format: https://github.com/huggingface/safetensors#format — eight bytes of length, then that much JSON.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from envcheck.schema.errors import InputError
from envcheck.schema.model import StoredTensor

MAX_HEADER = 100_000_000
"""The format's own limit for the JSON part, bytes."""
MAX_JSON = 64_000_000
MAX_SHARDS = 4096
_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I64": 64, "I32": 32,
    "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "C64": 64,
}  # fmt: skip


def read_json(path: Path) -> Any:
    """The JSON document at `path` (at most MAX_JSON bytes). Raises InputError when it is not one."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise InputError(f"{path} is larger than any such file should be ({path.stat().st_size} bytes)")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def read_safetensors(path: Path) -> tuple[StoredTensor, ...]:
    """The tensors of one safetensors file as its header lists them.

    Raises InputError when the file is cut off, its header is not what the format asks for, or a tensor lies outside it.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER, size - 8):
                raise InputError(f"{path} is not a readable safetensors file: its header would be {length} bytes long")
            header = json.loads(file.read(length))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a readable safetensors file: its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise InputError(f"{path} is not a readable safetensors file: its header is not an object")
    room = size - 8 - length
    return tuple(_tensor(path, name, row, room) for name, row in header.items() if name != "__metadata__")


def _tensor(path: Path, name: str, row: Any, room: int) -> StoredTensor:
    try:
        dtype, shape, (begin, end) = row["dtype"], tuple(row["shape"]), row["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{path}: the tensor {name!r} is not described as the format asks for") from error
    counts = (*shape, begin, end)
    if any(isinstance(c, bool) or not isinstance(c, int) or not 0 <= c < 1 << 50 for c in counts):
        raise InputError(f"{path}: the tensor {name!r} has implausible numbers")
    elements = 1
    for width in shape:
        elements *= width
        if elements > 1 << 50:
            raise InputError(f"{path}: the tensor {name!r} claims the shape {list(shape)}")
    bits = _BITS.get(dtype)
    if not begin <= end <= room:
        raise InputError(
            f"{path}: the tensor {name!r} reaches past the end of the file; the download may be incomplete"
        )
    if bits is not None and end - begin != -(-elements * bits // 8):
        raise InputError(
            f"{path}: the tensor {name!r} has {end - begin} bytes, which does not fit {dtype} {list(shape)}"
        )
    return StoredTensor(name=name, dtype=str(dtype), shape=shape, nbytes=end - begin)


def read_checkpoint(folder: Path) -> tuple[StoredTensor, ...]:
    """Every tensor of the safetensors checkpoint in a directory: one file, or the shards its index names.

    Empty when there is none. Raises InputError when a shard that the index names is missing.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return _sharded(folder, index)
    files = sorted(folder.glob("*.safetensors"))
    if len(files) > MAX_SHARDS:
        raise InputError(f"{folder} holds {len(files)} safetensors files")
    whole = [path for path in files if path.name == "model.safetensors"] or files
    return tuple(tensor for path in whole for tensor in read_safetensors(path))


def _sharded(folder: Path, index: Path) -> tuple[StoredTensor, ...]:
    table = read_json(index)
    places = table.get("weight_map") if isinstance(table, dict) else None
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        raise InputError(f"{index}: the key 'weight_map' is missing or does not map tensors to files")
    names = sorted(set(places.values()))
    if len(names) > MAX_SHARDS or any("/" in name or "\\" in name or name.startswith(".") for name in names):
        raise InputError(f"{index} names files outside its directory, or too many")
    found = []
    for name in names:
        if not (folder / name).is_file():
            raise InputError(f"{folder}: the shard {name} is missing; the download may be incomplete")
        found += [t for t in read_safetensors(folder / name) if places.get(t.name) == name]
    return tuple(found)
