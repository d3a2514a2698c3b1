"""From the TOML files of the matrix to typed rows, with errors that name file, row, key and what to do.

Reading TOML costs about a millisecond per two kilobytes, so decoded files are kept as JSON in the user's cache folder.
The cache is only a copy: it is keyed by file size, modification time and package version, decoded with the same strict
types, and every failure to read or write it is survived by reading the TOML.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from envcheck import __version__
from envcheck.resources import folder
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.requirement import BackendMatrix

T = TypeVar("T")

FOLDER = "requirements_matrix"
_ROW = re.compile(r"^\$((?:\.\w+(?:\[\d+\])?)*)")


_loaded: dict[str, Any] = {}


def load(name: str, kind: type[T]) -> T:
    """The file `name`.toml of the matrix as a `kind`, read once; raises EnvcheckError with file, row and reason."""
    if name not in _loaded:
        _loaded[name] = read(folder(FOLDER) / f"{name}.toml", kind, keep=True)
    value: T = _loaded[name]
    return value


@lru_cache(maxsize=1)
def backend_files() -> tuple[str, ...]:
    """Names of the files that describe a backend (or the machine): those that open with a `[backend]` table."""
    found = (path for path in folder(FOLDER).glob("*.toml") if b"[backend]" in _opening(path))
    return tuple(sorted(path.stem for path in found))


def _opening(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def backend_names() -> list[str]:
    """Ids of the backends the matrix has a file for, in alphabetical order."""
    names = (load(stem, BackendMatrix).backend.name for stem in backend_files() if stem != "machine")
    return sorted(names)


def backend(name: str) -> BackendMatrix:
    """The matrix of one backend, by id or file name; raises InputError when there is none."""
    stem = file_stem(name)
    if stem not in backend_files() or stem == "machine":
        raise InputError(f"Unknown backend {name!r}: choose one of {', '.join(backend_names())}.")
    return load(stem, BackendMatrix)


def matrix_of(name: str) -> BackendMatrix:
    """Like `backend`, and "machine" gives what concerns every backend."""
    return load(name, BackendMatrix) if name == "machine" else backend(name)


def file_stem(name: str) -> str:
    """The file name that belongs to a backend id: "llama.cpp" is kept in llama_cpp.toml."""
    return name.replace(".", "_").replace("-", "_")


def read(path: Path, kind: type[T], *, keep: bool = False) -> T:
    """Decode one TOML file; `keep` allows the cache (only for the project's own folder)."""
    try:
        stat = path.stat()
        kept = _kept(path) if keep else None
        if kept is not None:
            with suppress(OSError, msgspec.DecodeError):
                key, value = msgspec.json.decode(kept.read_bytes(), type=tuple[str, kind])  # type: ignore[valid-type]
                if key == _key(stat):
                    return value
        text = path.read_bytes()
    except OSError as error:
        raise EnvcheckError(f"{path.name}: cannot be read ({error.strerror}): reinstall llm-envcheck.") from error
    value = parse(text, kind, path.name)
    if kept is not None:
        _write(kept, msgspec.json.encode((_key(stat), value)))
    return value


def parse(text: bytes, kind: type[T], name: str) -> T:
    """Decode TOML text strictly; `name` is the file named in errors."""
    import tomllib

    try:
        raw = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvcheckError(f"{name}: not valid TOML ({error}): correct that line.") from error
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise EnvcheckError(f"{name}: {_explain(str(error), raw)}") from error


def _explain(message: str, raw: dict[str, Any]) -> str:
    """msgspec's "… - at `$.requirement[3].op`" with the row's own name in place of its number."""
    reason, _, where = message.partition(" - at ")
    path = where.strip("`")
    match = _ROW.match(path)
    row: Any = raw
    named = ""
    for part in re.findall(r"\.(\w+)|\[(\d+)\]", match[1] if match else ""):
        try:
            row = row[part[0]] if part[0] else row[int(part[1])]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(row, dict):
            named = next((str(row[k]) for k in ("id", "name", "version", "method", "cuda") if k in row), named)
    at = f"key {path.removeprefix('$.') or 'top level'}" + (f" (row {named!r})" if named else "")
    return f"{at}: {reason}; correct the key, or compare with the other rows of this file."


def _key(stat: os.stat_result) -> str:
    return f"{__version__}:{stat.st_size}:{stat.st_mtime_ns}"


def _kept(path: Path) -> Path | None:
    """Where the decoded copy of `path` lives, or None on a machine without a home."""
    home = os.environ.get("XDG_CACHE_HOME") or ""
    if not Path(home).is_absolute():
        user = os.environ.get("HOME") or os.environ.get("LOCALAPPDATA") or ""
        if not Path(user).is_absolute():
            return None
        home = str(Path(user) / ".cache")
    import zlib

    place = zlib.crc32(str(path.parent).encode())
    return Path(home) / "llm-envcheck" / f"{path.stem}-{place:08x}.json"


def _write(path: Path, content: bytes) -> None:
    """Write atomically, silently giving up where the folder cannot be written: the cache is a convenience."""
    partial = path.with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
