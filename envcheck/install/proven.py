"""What these very files have proven before: an import that worked here is not tried a second time for the same files.

A key names everything that an import of a finished environment depends on: each file by its path, inode, size and time
of change (uv links files out of its cache, so the same file keeps its inode), the interpreter, the shared libraries
that the system offers, and the boot. Files that no other environment shares (metadata that uv writes) count by their
content. Where any of this cannot be told there is no key, and everything is looked at as the first time. Compiled byte
code is left out: Python compares it with its source itself.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from envcheck import __version__
from envcheck.host import Host

KEPT_S = 30 * 86_400
"""How long a proof is kept, in seconds."""
_OWN_FILES = 3000
_OWN_BYTES = 4_000_000
"""Files of the environment alone that are read for the key; with more (uv copied instead of linking) there is none."""
_SYSTEM = ("/etc/ld.so.cache", "/proc/sys/kernel/random/boot_id")


def key_of(host: Host, python: str, imports: Sequence[str]) -> str | None:
    """The key of the environment of `python`; None where something that it must name cannot be read."""
    said = hashlib.sha256(repr((__version__, tuple(imports))).encode())
    try:
        interpreter = os.path.realpath(python)
        beside = Path(interpreter).parent.parent / "lib"
        for path in (interpreter, beside, _SYSTEM[0]):
            there = os.stat(path)  # noqa: PTH116
            said.update(repr((path, there.st_ino, there.st_size, there.st_mtime_ns)).encode())
        boot = host.read(_SYSTEM[1])
        (packages,) = (Path(python).parent.parent / "lib").glob("python3*/site-packages")
        if not boot or not _tree(packages, said):
            return None
    except (OSError, ValueError):
        return None
    said.update(boot.encode())
    return said.hexdigest()


def _tree(top: Path, said: hashlib._Hash) -> bool:
    """Feed every file below `top` in a fixed order; False where too many of them are nobody else's."""
    own, own_bytes = 0, 0
    folders = [str(top)]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    folders.append(entry.path)
                continue
            there = entry.stat(follow_symlinks=False)
            where = entry.path[len(str(top)) :]
            if there.st_nlink > 1:
                said.update(f"{where}\0{there.st_dev} {there.st_ino} {there.st_size} {there.st_mtime_ns}\n".encode())
                continue
            own, own_bytes = own + 1, own_bytes + there.st_size
            if own > _OWN_FILES or own_bytes > _OWN_BYTES:
                return False
            said.update(f"{where}\0{hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()}\n".encode())
    return True


def when(host: Host, key: str) -> float | None:
    """How many seconds ago the files of this key were found sound; None where they were not, or too long ago."""
    try:
        ago = time.time() - (_folder(host) / key).stat().st_mtime
    except OSError:
        return None
    return ago if 0 <= ago < KEPT_S else None


def remember(host: Host, key: str) -> None:
    """The files of this key were found sound just now. Where nothing can be kept, nothing is."""
    try:
        folder = _folder(host)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / key).touch()
        for old in folder.iterdir():
            if time.time() - old.stat().st_mtime > KEPT_S:
                old.unlink()
    except OSError:
        return


def _folder(host: Host) -> Path:
    """Where proofs are kept. Raises OSError where the user has no place for such things."""
    base, home = host.env.get("XDG_CACHE_HOME"), host.env.get("HOME")
    if not base and not home:
        raise FileNotFoundError("neither XDG_CACHE_HOME nor HOME is set")
    return Path(base or f"{home}/.cache") / "envcheck" / "proven"
