"""Foreign text to snapshot: one file for each kind of dump, all reading the same numbered lines.

Every importer looks at the whole paste, because people paste several reports, parts of reports and logs in one go.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import NamedTuple

from envcheck.discover import names
from envcheck.importers._draft import Draft, Importer
from envcheck.schema.paste import Paste
from envcheck.schema.snapshot import Snapshot


class Imported(NamedTuple):
    """What a paste told: readings, the kinds of text recognised, and options of a command it shows."""

    snapshot: Snapshot
    understood: tuple[str, ...]
    options: dict[str, str]


def import_paste(paste: Paste) -> Imported:
    """Run every importer over `paste`. Facts that no line states are unknown."""
    draft = Draft()
    importers = _importers()
    # Whole reports speak before passing mentions: the first statement of a fact is the one that counts.
    ordered = sorted(importers, key=lambda importer: _rank(importer.name))
    understood = tuple(importer.name for importer in ordered if importer.read(paste, draft))
    return Imported(snapshot=draft.build(), understood=understood, options=draft.options)


def _rank(name: str) -> int:
    if name in _LAST:
        return len(_ORDER) + 1 + _LAST.index(name)
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


@cache
def _importers() -> tuple[Importer, ...]:
    """Every importer of pasted text; modules of this package that read other things export none."""
    modules = (import_module(f"{__name__}.{name}") for name in names(__name__))
    return tuple(module.IMPORTER for module in modules if hasattr(module, "IMPORTER"))


_ORDER = (
    "collect_env",
    "sglang_check_env",
    "transformers_env",
    "nvidia_smi",
    "ollama_log",
    "llamacpp_log",
    "torch_prints",
    "rocm_reports",
    "bitsandbytes",
    "version_prints",
    "package_lists",
)
_LAST = ("pci_devices", "driver_mentions", "named_gpus")
"""What lists a card without asking its driver, or only mentions one or the other, counts where nothing else does."""
