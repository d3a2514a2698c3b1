"""A short, file-name-safe name for a machine, made of its hardware and never of its host name."""

from __future__ import annotations

import re

from envcheck.schema.facts import Known, value_of
from envcheck.schema.snapshot import Snapshot

_NOISE = re.compile(
    r"\b(nvidia|geforce|amd|radeon|intel|graphics|corporation|apple|tesla|quadro|laptop|gpu|pcie|sxm\d?)\b"
)


def alias(snapshot: Snapshot, given: str | None = None) -> str:
    """The given name made safe, or one like "rtx-5080", "8x-h100-80gb-hbm3", "wsl2-titan-v", "cpu-2c-24gib"."""
    if given and slug(given):
        return slug(given)
    prefix = "wsl2-" if value_of(snapshot.os.wsl) else ""
    gpus = snapshot.gpus
    if isinstance(gpus, Known):
        name = value_of(gpus.value[0].name) or gpus.value[0].vendor
        same = sum(value_of(gpu.name) == value_of(gpus.value[0].name) for gpu in gpus.value)
        count = f"{same}x-" if same > 1 else ""
        return (prefix + count + slug(_NOISE.sub(" ", name.lower()))) or "gpu"
    cores, ram = value_of(snapshot.cpu.cores), value_of(snapshot.memory.ram_total_mib)
    parts = [f"{cores}c" if cores else "", f"{round(ram / 1024)}gib" if ram else ""]
    return prefix + "-".join(["cpu", *[part for part in parts if part]])


def slug(text: str) -> str:
    """Lower-case letters, digits and single hyphens; at most 40 characters."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
