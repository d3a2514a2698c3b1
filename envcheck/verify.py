"""Compare an environment's packages with the disk: what `envcheck verify` and a library user call."""

from __future__ import annotations

from envcheck.host import Host
from envcheck.probes import _distributions, _interpreter, _record
from envcheck.schema.errors import InputError

Inspection = _record.Inspection


def verify(host: Host, hashes: bool = True) -> Inspection:
    """Existence, size and (with `hashes`) content of every file that a RECORD of the target environment names.

    Raises InputError where the target has no folder of installed packages.
    """
    folders = _interpreter.find(host).folders
    if not folders:
        raise InputError(f"No site-packages folder belongs to {host.target_python}: name an interpreter with --python.")
    return _record.inspect(host, folders, hashes)


def installed(host: Host) -> dict[str, str]:
    """Versions of the target environment's distributions by normalised name, from the names of their metadata."""
    folders = _interpreter.find(host).folders
    return {entry.name: entry.version for folder in folders for entry in _distributions.listing(host, folder)[0]}


def interpreter(host: Host) -> str:
    """The target interpreter itself, where its name is that of a shim: each start of one costs a third of a second."""
    named = host.target_python
    return _interpreter.behind_shim(host, named if "/" in named or "\\" in named else host.which(named) or named)
