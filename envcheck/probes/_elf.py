"""What a compiled module asks of the system: NEEDED libraries and symbol versions, from its ELF headers.

Layout after the ELF specification (gABI 4.1, "Program Header", "Dynamic Section") and the Linux Standard Base ("Symbol
Versioning"). Only 64-bit little-endian files are read: every platform that has accelerator wheels is one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

Read = Callable[[int, int], bytes]
"""(offset, size) to bytes; fewer at the end of the file."""

_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_VERNEED, _DT_VERNEEDNUM, _DT_SONAME = 1, 5, 10, 0x6FFFFFFE, 0x6FFFFFFF, 14
_PT_LOAD, _PT_DYNAMIC = 1, 2
_MOST = 4096
_STRINGS_LIMIT = 16 * 1024 * 1024
_NUMBERED = re.compile(r"(GLIBC|GLIBCXX|CXXABI)_(\d+(?:\.\d+){1,3})")


class _BrokenError(Exception):
    """The bytes are not a 64-bit little-endian ELF file, or are cut."""


def needs(read: Read) -> dict[str, list[str] | str]:
    """`needed` sonames and the newest GLIBC, GLIBCXX and CXXABI versions asked for; {} for anything but such a file."""
    try:
        dynamic, segments = _dynamic(read)
        strings = _strings(read, dynamic, segments)
        names = [_text(strings, value) for tag, value in dynamic if tag == _DT_NEEDED][:200]
        versions = _versions(read, dynamic, segments, strings)
    except (_BrokenError, struct.error):
        return {}
    newest: dict[str, str] = {}
    for version in versions:
        found = _NUMBERED.fullmatch(version)
        if found and _order(found.group(2)) > _order(newest.get(found.group(1), "0")):
            newest[found.group(1)] = found.group(2)
    return {"needed": [name for name in names if name], **{key.lower(): value for key, value in newest.items()}}


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if len(part) < 9)


def _exactly(read: Read, offset: int, size: int) -> bytes:
    if not 0 <= offset < 2**48 or not 0 <= size <= _STRINGS_LIMIT:
        raise _BrokenError
    content = read(offset, size)
    if len(content) != size:
        raise _BrokenError
    return content


Segment = tuple[int, int, int]
"""Address, offset in the file, size in the file."""


def _dynamic(read: Read) -> tuple[list[tuple[int, int]], list[Segment]]:
    header = _exactly(read, 0, 64)
    if header[:6] != b"\x7fELF\x02\x01":
        raise _BrokenError
    offset, entry, count = struct.unpack_from("<Q", header, 32)[0], *struct.unpack_from("<HH", header, 54)
    if entry < 56 or not 0 < count <= 128:
        raise _BrokenError
    table = _exactly(read, offset, entry * count)
    segments, place = [], None
    for n in range(count):
        kind, _, at, address, _, size = struct.unpack_from("<IIQQQQ", table, n * entry)
        if kind == _PT_LOAD:
            segments.append((address, at, size))
        elif kind == _PT_DYNAMIC:
            place = (at, size)
    if place is None:
        raise _BrokenError
    content = _exactly(read, place[0], min(place[1], _MOST * 16) // 16 * 16)
    return [(t, v) for t, v in struct.iter_unpack("<QQ", content)], segments


def _offset(address: int, segments: list[Segment]) -> int:
    for start, at, size in segments:
        if start <= address < start + size:
            return int(address - start + at)
    raise _BrokenError


def _value(dynamic: list[tuple[int, int]], tag: int) -> int | None:
    return next((value for t, value in dynamic if t == tag), None)


def _strings(read: Read, dynamic: list[tuple[int, int]], segments: list[Segment]) -> bytes:
    address, size = _value(dynamic, _DT_STRTAB), _value(dynamic, _DT_STRSZ)
    if address is None or size is None:
        raise _BrokenError
    return _exactly(read, _offset(address, segments), size)


def _text(strings: bytes, at: int) -> str:
    if not 0 <= at < len(strings):
        raise _BrokenError
    end = strings.find(b"\0", at)
    return strings[at : end if 0 <= end < at + 256 else at].decode("ascii", "replace")


def _versions(read: Read, dynamic: list[tuple[int, int]], segments: list[Segment], strings: bytes) -> list[str]:
    """Names in the version-need section: a chain of libraries, each with a chain of versions."""
    address, count = _value(dynamic, _DT_VERNEED), _value(dynamic, _DT_VERNEEDNUM)
    if address is None or count is None:
        return []
    found: list[str] = []
    at = _offset(address, segments)
    for _ in range(min(count, 200)):
        _, entries, _, aux, following = struct.unpack("<HHIII", _exactly(read, at, 16))
        place = at + aux
        for _ in range(min(entries, 200)):
            _, _, _, name, step = struct.unpack("<IHHII", _exactly(read, place, 16))
            found.append(_text(strings, name))
            if step == 0:
                break
            place += step
        if following == 0:
            break
        at += following
    return found
