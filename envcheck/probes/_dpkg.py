"""Versions of programs that Debian packages own, from the package database: one read instead of one program each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from envcheck.host import Host

_STATUS = "/var/lib/dpkg/status"
_UPSTREAM = re.compile(r"(?:\d+:)?(\d+(?:\.\d+)*)")


_read: WeakKeyDictionary[Host, bytes] = WeakKeyDictionary()


def _content(host: Host) -> bytes:
    """The database of one look at a machine: several programs are looked up in it."""
    if host not in _read:
        _read[host] = host.read_bytes(_STATUS, 16 * 1024 * 1024) or b""
    return _read[host]


def version(host: Host, program: str, packages: tuple[str, ...]) -> str | None:
    """Upstream version of the first of `packages` that is installed, if `program` is found in `/usr/bin` or `/bin`.

    A program elsewhere on PATH is somebody's own and may be of another version than the package.
    """
    path = host.which(program) or ""
    if not path.startswith(("/usr/bin/", "/bin/")) or not host.exists(_STATUS):
        return None
    content = _content(host)
    for package in packages:
        start = content.find(b"\nPackage: " + package.encode() + b"\n")
        entry = content[start : content.find(b"\n\n", start + 1)].decode("utf-8", "replace") if start >= 0 else ""
        stated = re.search(r"^Version: (\S{1,80})$", entry, re.MULTILINE)
        if stated and "Status: install ok installed" in entry and (number := _UPSTREAM.match(stated.group(1))):
            return number.group(1)
    return None
