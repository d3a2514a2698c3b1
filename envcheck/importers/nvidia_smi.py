"""`nvidia-smi`: the table with both banners, `-L`, `-q`, `--query-gpu` CSV, and the sentences it fails with."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer, after, mib
from envcheck.schema.paste import Line, Paste

_DRIVER = re.compile(r"(?:driver|kmd) version\s*:?\s*(\d{3}\.\d{1,3}(?:\.\d{1,3})?)", re.IGNORECASE)
_SAID = re.compile(r"^\W{0,6}(?:nvidia |gpu )?driver\W{1,4}v?(\d{3}\.\d{1,3}(?:\.\d{1,3})?)\b", re.IGNORECASE)
_CUDA = re.compile(r"cuda (?:umd )?version\s*:?\s*(\d{1,2}\.\d)\b", re.IGNORECASE)
_ROW = re.compile(
    r"^\W{0,4}(\d{1,2})\s{2,}([A-Za-z][\w /.()-]{2,40}?)\s+(?:On|Off|WDDM|TCC|MCDM|N/A)\b\s*(?:-?M)?\s*\|"
)
_MEMORY = re.compile(r"(\d{1,7})\s?MiB\s*/\s*(\d{1,7})\s?MiB")
_LISTED = re.compile(r"^\W{0,4}GPU (\d{1,2}): (.{2,80}?) \(UUID")
_NAMED = re.compile(
    r"^\W{0,6}GPU (\d{1,2}):\W{1,4}((?:NVIDIA|Tesla|Quadro|GeForce|RTX|GTX) [^|\n]{1,80}?)\s*(?:\|.{0,200})?$"
)
_MIG_ROW = re.compile(r"MIG (\d{1,2}g\.\d{1,3}gb\S{0,6})")
_PROCESS = re.compile(
    r"^\|?\s+(\d{1,2})\s+(?:(?:N/A|\d+)\s+(?:N/A|\d+)\s+)?(\d{1,9})\s+([CGM+]{1,3})\s+(\S.{0,80}?)\s+(\d{1,7})\s?MiB"
)
_CSV = re.compile(r"^\s*(?:(\d{1,2}),\s*)?((?:NVIDIA|Tesla|Quadro|GeForce|GRID)[^,]{2,60}),\s*(.{2,120})$")


def read(paste: Paste, draft: Draft) -> bool:
    """Take driver, CUDA level, GPUs and their memory, and why it failed."""
    found = _banner(paste, draft)
    found = _table(paste, draft) or found
    found = _listing(paste, draft) or found
    found = _long_report(paste, draft) or found
    return _state(paste, draft) or found


def _banner(paste: Paste, draft: Draft) -> bool:
    found = False
    for literal in ("driver version", "kmd version"):
        for line in paste.having(literal):
            match = _DRIVER.search(line.text)
            if match:
                draft.put("nvidia.driver", match.group(1), line)
                found = found or "nvidia-smi" in paste or literal == "kmd version" or "nvsmi" in paste
    for line, match in paste.matching("driver", _SAID.pattern):
        draft.put("nvidia.driver", match.group(1), line)
        found = True
    for literal in ("cuda version", "cuda umd version"):
        for line in paste.having(literal):
            match = _CUDA.search(line.text)
            if match and ("nvidia-smi" in line.text.lower() or _DRIVER.search(line.text) or "umd" in line.text.lower()):
                draft.put("nvidia.cuda_driver", match.group(1), line)
    return found


def _table(paste: Paste, draft: Draft) -> bool:
    found = False
    for literal in (" off ", " on ", " wddm ", " tcc "):
        for line in paste.having(literal):
            match = _ROW.match(line.text)
            if match and "|" in line.text:
                draft.gpu("nvidia", int(match.group(1)), "name", match.group(2).strip(), line)
                _memory(paste, draft, int(match.group(1)), line)
                found = True
    return found


def _memory(paste: Paste, draft: Draft, index: int, row: Line) -> None:
    """Used and total memory stand on one of the two lines that follow a device's name."""
    for offset in (1, 2):
        number = row.number + offset
        if number > len(paste.lines):
            return
        line = Line(number, paste.lines[number - 1])
        match = _MEMORY.search(line.text)
        if match:
            used, total = int(match.group(1)), int(match.group(2))
            draft.gpu("nvidia", index, "memory_total_mib", total, line)
            draft.gpu("nvidia", index, "memory_free_mib", max(0, total - used), line)
        if "Enabled" in line.text:
            draft.gpu("nvidia", index, "mig_mode", True, line)
        if match and "Enabled" in line.text:
            return


def _listing(paste: Paste, draft: Draft) -> bool:
    found = False
    for line, match in paste.matching("(uuid", _LISTED.pattern):
        draft.gpu("nvidia", int(match.group(1)), "name", match.group(2), line)
        found = True
    for line, match in paste.matching("gpu ", _NAMED.pattern):
        if "(uuid" not in line.text.lower():
            draft.gpu("nvidia", int(match.group(1)), "name", match.group(2), line)
            found = True
    for line in paste.having("mib,"):
        row = _CSV.match(line.text)
        if row:
            draft.gpu("nvidia", int(row.group(1) or len(draft.gpus("nvidia"))), "name", row.group(2).strip(), line)
            found = True
    return found


def _long_report(paste: Paste, draft: Draft) -> bool:
    """`nvidia-smi -q`: indented "Key : value" under one heading for each GPU."""
    index = -1
    for line in paste.having("product name"):
        value = after(line.text)
        if not value or "|" in line.text:
            continue
        index += 1
        draft.gpu("nvidia", index, "name", value, line)
        _long_memory(paste, draft, index, line)
    return index >= 0


def _long_memory(paste: Paste, draft: Draft, index: int, start: Line) -> None:
    section = ""
    for number in range(start.number + 1, min(start.number + 160, len(paste.lines)) + 1):
        text = paste.lines[number - 1]
        key, separator, value = text.strip().partition(" : ")
        if not separator:
            section = text.strip()
            continue
        key = key.strip()
        if key == "Product Name":
            return
        if section == "FB Memory Usage" and key in ("Total", "Free"):
            draft.gpu("nvidia", index, f"memory_{key.lower()}_mib", mib(value), Line(number, text))
        if section == "MIG Mode" and key == "Current" and value == "Enabled":
            draft.gpu("nvidia", index, "mig_mode", True, Line(number, text))


_STATES = (
    ("driver/library version mismatch", "version_mismatch"),
    ("couldn't communicate with the nvidia driver", "module_not_loaded"),
    ("no devices were found", "no_devices"),
)


def _state(paste: Paste, draft: Draft) -> bool:
    for literal, state in _STATES:
        for line in paste.having(literal):
            draft.put("nvidia.state", state, line)
            draft.put("nvidia.state_detail", line.text.strip()[:200], line)
            return True
    return False


IMPORTER = Importer("nvidia_smi", read)
