"""Hashes of many files in a few threads; hashlib lets go of the interpreter lock, so the cores share the work."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from envcheck.host import Host

BATCH = 64
"""Files handed to a thread at once: most are small, and handing over costs as much as hashing one."""
ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})
"""What the specification of RECORD allows ("sha256 or better")."""


class Recorded(Protocol):
    """A file with the digest it should have ("sha256=…", URL-safe base64 without padding)."""

    @property
    def path(self) -> str: ...
    @property
    def folder(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...


def differing(host: Host, files: Sequence[tuple[str, Recorded]]) -> list[tuple[str, str]]:
    """(package, path) of the files whose content is not what was recorded, in the given order."""
    if not files:
        return []
    from concurrent.futures import ThreadPoolExecutor

    batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return [each for found in pool.map(lambda batch: _batch(host, batch), batches) for each in found]


def _batch(host: Host, files: Sequence[tuple[str, Recorded]]) -> list[tuple[str, str]]:
    return [
        (package, file.path) for package, file in files if not matches(host, f"{file.folder}/{file.name}", file.digest)
    ]


def matches(host: Host, path: str, recorded: str) -> bool:
    """Whether a file has the recorded digest; True for an algorithm that RECORD may not use, which says nothing."""
    algorithm, _, wanted = recorded.partition("=")
    if algorithm not in ALGORITHMS:
        return True
    digest = hashlib.new(algorithm)
    return host.feed(path, digest.update) and base64.urlsafe_b64encode(digest.digest()).rstrip(
        b"="
    ).decode() == wanted.rstrip("=")
