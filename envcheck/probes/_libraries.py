"""Which file the dynamic loader would take for a shared library, without starting a program.

Order as in ld.so(8): LD_LIBRARY_PATH, then `/etc/ld.so.cache`, then the default folders. RPATH of a particular program
is not known here. The cache is searched as bytes: its strings are full paths ending in NUL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envcheck.host import Host

_DEFAULT_FOLDERS = (
    "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
    "/lib64", "/usr/lib64", "/lib", "/usr/lib",
)  # fmt: skip
_WSL = ("/usr/lib/wsl/lib",)
_OTHER_ABI = re.compile(r"/(?:i386|i686|lib32|libx32|arm-linux-gnueabi)")


class Loader:
    """The loader's view of one machine."""

    def __init__(self, host: Host) -> None:
        """Reads the cache once."""
        self._host = host
        self._cache = host.read_bytes("/etc/ld.so.cache") or b""
        search = host.env.get("LD_LIBRARY_PATH", "")
        self._first = [folder for folder in search.replace(";", ":").split(":") if folder.startswith("/")]

    def find(self, soname: str) -> str | None:
        """Full path of the file the loader takes for `soname`, or None."""
        for folder in self._first:
            if self._host.exists(f"{folder}/{soname}"):
                return f"{folder}/{soname}"
        for path in self._cached(soname):
            if self._host.exists(path):
                return path
        # ldconfig has looked through the default folders already; only without its cache they are looked at here.
        for folder in _WSL if self._cache else (*_DEFAULT_FOLDERS, *_WSL):
            if self._host.exists(f"{folder}/{soname}"):
                return f"{folder}/{soname}"
        return None

    def _cached(self, soname: str) -> list[str]:
        found, ending, start = [], b"/" + soname.encode() + b"\0", 0
        while (end := self._cache.find(ending, start)) != -1:
            begin = self._cache.rfind(b"\0", 0, end) + 1
            path = self._cache[begin : end + len(ending) - 1].decode("utf-8", "replace")
            if path.startswith("/") and not _OTHER_ABI.search(path):
                found.append(path)
            start = end + 1
        return found

    def version(self, path: str, soname: str) -> str:
        """The number after the library's name in the file that `path` leads to ("libcuda.so.575.57.08" gives
        "575.57.08"), or "present" where the name says no more than the soname."""
        stem = soname.split(".so")[0] + ".so."
        name = self._host.real_path(path).rsplit("/", 1)[-1]
        number = name.removeprefix(stem)
        more = number.count(".") > soname.removeprefix(stem).count(".") or len(number) > 4
        return number if name.startswith(stem) and more and re.fullmatch(r"[\d.]{1,30}", number) else "present"
