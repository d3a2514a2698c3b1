"""How large the wheels of a lock are: what the index states, else what the files or their servers say.

Indexes that speak JSON state sizes (PEP 700); plain ones do not, and are asked for the head of each file.
"""

from __future__ import annotations

import platform
import sys
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

LIMIT_S = 3.0
"""For one answer, in seconds: a size is worth no longer wait."""
AT_ONCE = 16
BUDGET_S = 5.0
"""For all answers together, in seconds; whatever has not been asked by then stays unknown."""


def sizes_of(
    rows: Sequence[dict[str, Any]], python: str, base: Path, known: Mapping[tuple[str, str], int] | None = None
) -> dict[str, int]:
    """Package name to the bytes of the wheel that this machine takes; packages nobody knows the size of are left out.

    `rows` are the packages of a PEP 751 lock, `python` the target's minor version, `base` where relative paths start,
    `known` what has been seen of a name and version before.
    """
    chosen = {row["name"]: wheel_for(row.get("wheels", []), python) for row in rows}
    found = {name: int(file["size"]) for name, file in chosen.items() if file and isinstance(file.get("size"), int)}
    for row in rows:
        if row["name"] not in found and known and (size := known.get((row["name"], row["version"]))) is not None:
            found[row["name"]] = size
    asked = [(name, file) for name, file in chosen.items() if file and name not in found]
    if not asked:
        return found
    first, *others = asked
    size = _size(first[1], base)
    if size is None:
        return found  # a server that does not say it of one file will not say it of a hundred
    until = time.monotonic() + BUDGET_S
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda each: _size(each[1], base) if time.monotonic() < until else None, others)
        told = {name: answer for (name, _), answer in zip(others, answers, strict=True) if answer is not None}
    return {**found, first[0]: size, **told}


def wheel_for(files: Sequence[dict[str, Any]], python: str) -> dict[str, Any] | None:
    """Which of a package's wheels is about the one that this machine takes: an estimate, the installer decides."""
    return max(files, key=lambda file: _nearness(_name(file).lower(), python), default=None)


def _nearness(name: str, python: str) -> tuple[bool, bool, bool, bool]:
    """How well a file name suits this machine: system, processor, Python, any Python."""
    system = {"linux": "manylinux", "darwin": "macosx", "win32": "win"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    anywhere = name.endswith("-any.whl")
    fits = anywhere or machine in name or "universal2" in name
    return anywhere or system in name, fits, f"cp{python.replace('.', '')}-" in name, "-abi3-" in name


def _name(file: dict[str, Any]) -> str:
    place = file.get("name") or file.get("url") or file.get("path") or ""
    return urllib.parse.unquote(str(place).rsplit("/", 1)[-1])


def _size(file: dict[str, Any], base: Path) -> int | None:
    """Bytes of a file, by its name on this machine or by its server's answer to HEAD."""
    import urllib.request  # a tenth of what an install with nothing to do takes, and never needed by it

    try:
        if "path" in file:
            return (base / str(file["path"])).stat().st_size
        url = urllib.parse.urlsplit(file["url"])
        if url.scheme == "file":
            return Path(urllib.request.url2pathname(url.path)).stat().st_size
        if url.scheme not in ("http", "https"):
            return None
        request = urllib.request.Request(file["url"], method="HEAD")  # noqa: S310
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:  # noqa: S310
            return int(answer.headers["Content-Length"])
    except (OSError, TypeError, ValueError, KeyError):
        return None
