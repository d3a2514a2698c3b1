"""Free space where packages, models, caches and temporary files go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from envcheck.probes._values import flag, mib, present, table, text, whole
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Disk, DiskSpace

if TYPE_CHECKING:
    from envcheck.host import Host

_WHY = "the file system did not give its size"


def collect(host: Host) -> Evidence:
    """One statvfs per purpose. The folders' names stay here: only what they are for and their sizes are evidence."""
    folders = _folders(host)
    return {
        "spaces": {purpose: space for purpose, folder in folders.items() if (space := host.space(folder)) is not None}
    }


def _folders(host: Host) -> dict[str, str]:
    """Purpose to folder. Variables and defaults as huggingface_hub and Ollama document them."""
    home = host.env.get("HOME") or host.env.get("USERPROFILE") or "/root"
    cache = host.env.get("XDG_CACHE_HOME") or f"{home}/.cache"
    hub = host.env.get("HF_HUB_CACHE") or f"{host.env.get('HF_HOME') or cache + '/huggingface'}/hub"
    folders = {
        "target": os.path.dirname(os.path.dirname(host.target_python)),  # noqa: PTH120
        "models": hub,
        "temp": host.env.get("TMPDIR") or host.env.get("TEMP") or "/tmp",  # noqa: S108  the default, only looked at
        "home": home,
        "cache": host.env.get("UV_CACHE_DIR") or host.env.get("PIP_CACHE_DIR") or cache,
        "ollama_models": host.env.get("OLLAMA_MODELS") or f"{home}/.ollama/models",
    }
    if host.is_dir("/var/lib/docker"):
        folders["containers"] = "/var/lib/docker"
    return folders


def parse(evidence: Evidence) -> Disk:
    """Sizes in MiB per purpose; `free_mib` is what this user may still fill."""
    spaces = table(table(evidence).get("spaces"))
    return Disk(
        spaces=tuple(_space(purpose, table(seen)) for purpose, seen in spaces.items() if text(purpose) == purpose)
    )


def _space(purpose: str, seen: Evidence) -> DiskSpace:
    return DiskSpace(
        purpose=purpose,
        free_mib=present("statvfs", mib(whole(seen.get("free"))), _WHY),
        total_mib=present("statvfs", mib(whole(seen.get("total"))), _WHY),
        writable=present("access(2)", flag(seen.get("writable")), _WHY),
    )


PROBE = Probe(section="disk", collect=collect, parse=parse)
