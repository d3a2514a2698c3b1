"""Plug-ins by file name: every module of a package that exports the wanted name, in sorted order.

One visible way for probes, importers, rules, backends and formats: drop a file in, nothing else to edit. Nothing is
imported until asked for, and a folder listing is the registry.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from envcheck.schema.errors import InputError


def names(package: str) -> list[str]:
    """Module names in `package` ("envcheck.formats"), sorted; names with a leading underscore are private."""
    where = import_module(package).__path__
    # Asked for a dozen times in a check: matching patterns against paths costs twenty times the listing.
    files = (name for folder in where for name in os.listdir(folder) if name.endswith(".py"))  # noqa: PTH208
    return sorted(name.removesuffix(".py") for name in files if not name.startswith("_"))


def load(package: str, name: str, attribute: str) -> Any:
    """The object `attribute` of module `name` in `package`; an unknown name is an input error."""
    module_name = name.replace("-", "_").replace(".", "_")
    known = names(package)
    if module_name not in known:
        kind = package.rsplit(".", 1)[-1].rstrip("s")
        raise InputError(f"Unknown {kind} {name!r}: choose one of {', '.join(known)}.")
    return getattr(import_module(f"{package}.{module_name}"), attribute)


def load_all(package: str, attribute: str) -> dict[str, Any]:
    """{module name: its `attribute`} for every module of `package`."""
    return {name: getattr(import_module(f"{package}.{name}"), attribute) for name in names(package)}
