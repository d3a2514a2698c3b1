"""What llama.cpp's log says it puts on each device, in the wording of its older and newer releases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from envcheck.judge.rule import Case
from envcheck.schema.paste import Line

# `load_tensors: CUDA0 model buffer size = 4095.05 MiB`, `KV buffer size`, `compute buffer size`: src/llama-model.cpp,
# llama-kv-cache.cpp and llama-context.cpp of https://github.com/ggml-org/llama.cpp ; before 2024 one total:
# `llm_load_tensors: total VRAM used: 9763 MiB`, `VRAM used: 9763 MB`.
_BUFFER = (
    r"\b(?P<device>(?:CUDA|ROCm|Vulkan|SYCL|Metal)\d{0,2}) (?P<kind>model |KV |RS |compute )?buffer size"
    r"\s{0,3}=\s{0,12}(?P<size>\d{1,8}(?:\.\d{1,3})?) Mi?B"
)
_TOTAL = r"(?:total )?VRAM used(?: \(?[a-z ]{0,20}\)?)?\s{0,3}[:=]\s{0,12}(?P<size>\d{1,8}(?:\.\d{1,3})?) Mi?B"
_NUMBER = re.compile(r"\d{1,2}$")
_VENDORS = {"CUDA": "nvidia", "ROCm": "amd"}


class Overfull(NamedTuple):
    """A device that is to hold more than it has."""

    name: str
    wanted_mib: float
    has_mib: float
    lines: tuple[Line, ...]


def overfull(case: Case) -> Iterator[Overfull]:
    """Every device whose buffers, as printed, are larger than its memory."""
    found: dict[str, dict[str, tuple[float, Line]]] = {}
    for line, match in case.paste.matching("buffer size", _BUFFER):
        # The last print of a kind counts: a context that is made again replaces the earlier one.
        found.setdefault(match["device"], {})[match["kind"] or ""] = (float(match["size"]), line)
    for line, match in case.paste.matching("vram used", _TOTAL):
        found.setdefault("CUDA0", {})["total"] = (float(match["size"]), line)
    for device, parts in found.items():
        wanted = parts["total"][0] if "total" in parts else sum(size for size, _ in parts.values())
        room = _memory(case, device)
        if room and wanted > room[1]:
            yield Overfull(room[0], wanted, room[1], tuple(line for _, line in parts.values()))


def _memory(case: Case, printed: str) -> tuple[str, float] | None:
    """Name and memory of the device that llama.cpp calls `printed`: what was free, else what it has in all."""
    number = _NUMBER.search(printed)
    index = int(number.group()) if number else 0
    vendor = _VENDORS.get(printed[: number.start()] if number else printed)
    for device in case.devices:
        if device.number == index and vendor in (None, device.vendor) and device.kind != "integrated":
            memory = device.free_mib or device.memory_mib
            return (device.name, float(memory)) if memory else None
    return None
