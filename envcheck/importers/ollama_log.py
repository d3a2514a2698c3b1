"""Ollama's server log: discovered devices, the environment it was started with, versions and runners."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer, mib, vendor_of
from envcheck.schema.paste import Line, Paste

_FIELD = re.compile(r'(\w{1,24})=("[^"]{0,200}"|\S{1,120})')
_VERSION = re.compile(r"listening on \S{1,80} \(version (\d[\w.+-]{0,30})\)", re.IGNORECASE)
_SAID = re.compile(r"ollama(?: version(?: is|:)?|[ /:]v?)\s*(\d{1,2}\.\d{1,3}\.\d{1,3})\b", re.IGNORECASE)
_CLIENT = re.compile(r"client version is (\d{1,2}\.\d{1,3}\.\d{1,3})\b")
_CONFIG = re.compile(r"env=\"?map\[(.{1,4000})\]")
_SETTING = re.compile(r"([A-Z][A-Z0-9_]{2,50}):(.*?)(?= [A-Z][A-Z0-9_]{2,50}:|$)")
_GFX = re.compile(r"(?:gpu_type=|gfxversion: |compute=)\"?(gfx[0-9a-f]{3,5})\b", re.IGNORECASE)
_OS_VERSION = re.compile(r"(\d{1,4}(?:\.\d{1,4}){1,2})")


def read(paste: Paste, draft: Draft) -> bool:
    """Take devices, settings, memory and version."""
    ours = (
        ("source=" in paste and "level=" in paste and "msg=" in paste)
        or "ollama" in paste
        or "inference compute" in paste
    )
    if not ours:
        return False
    found = _devices(paste, draft)
    for line in paste.having("server config"):
        found = _settings(draft, line) or found
    for literal, pattern in (("(version ", _VERSION), ("ollama", _SAID), ("client version is", _CLIENT)):
        for line, match in paste.matching(literal, pattern.pattern):
            draft.backend("ollama", match.group(1), line)
            found = True
    for line in paste.having('msg="system memory"'):
        fields = _fields(line)
        draft.put("memory.ram_total_mib", mib(fields.get("total", "")), line)
        draft.put("memory.ram_available_mib", mib(fields.get("free", "")), line)
        draft.put("memory.swap_total_mib", mib(fields.get("free_swap", "")), line)
    return found or ("source=" in paste and "level=" in paste and "msg=" in paste)


def _devices(paste: Paste, draft: Draft) -> bool:
    found = False
    counts: dict[str, int] = {}
    for line in paste.having('msg="inference compute"'):
        fields = _fields(line)
        library = fields.get("library", "")
        if library in ("cpu", ""):
            continue
        name = fields.get("name") or fields.get("description") or ""
        vendor = {"cuda": "nvidia", "rocm": "amd", "oneapi": "intel", "hip": "amd"}.get(
            library.lower(), vendor_of(name)
        )
        index = counts.get(vendor, 0)
        counts[vendor] = index + 1
        _device(draft, vendor, index, fields, line)
        found = True
    if not found:
        # A GPU that Ollama looked at and left out: the log names its target and nothing else.
        left_out = {match.group(1).lower(): line for line, match in paste.matching("gfx", _GFX.pattern)}
        for index, (gfx, line) in enumerate(left_out.items()):
            draft.gpu("amd", index, "gfx", gfx, line)
            found = True
    return found


def _device(draft: Draft, vendor: str, index: int, fields: dict[str, str], line: Line) -> None:
    draft.gpu(vendor, index, "name", fields.get("description") or fields.get("name") or None, line)
    draft.gpu(vendor, index, "memory_total_mib", mib(fields.get("total", "")), line)
    draft.gpu(vendor, index, "memory_free_mib", mib(fields.get("available", "")), line)
    compute = fields.get("compute", "")
    if compute.startswith("gfx"):
        draft.gpu(vendor, index, "gfx", compute, line)
    elif vendor == "nvidia":
        draft.gpu(vendor, index, "compute_capability", compute or None, line)
    driver = fields.get("driver", "")
    if vendor == "nvidia" and _OS_VERSION.match(driver):
        # Ollama prints the CUDA level that the driver reports here, not the driver's own number.
        draft.put("nvidia.cuda_driver", driver, line)


def _settings(draft: Draft, line: Line) -> bool:
    match = _CONFIG.search(line.text)
    if not match:
        return False
    for name, value in _SETTING.findall(match.group(1)):
        if value.strip():
            draft.variable(name, value.strip(), line)
    return True


def _fields(line: Line) -> dict[str, str]:
    return {key: value.strip('"') for key, value in _FIELD.findall(line.text)}


IMPORTER = Importer("ollama_log", read)
