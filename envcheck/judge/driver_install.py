"""How the NVIDIA driver of this very system is installed, for remedies: `requirements_matrix/driver_installs.toml`."""

from __future__ import annotations

import re

from envcheck.judge.rows import load
from envcheck.schema.facts import Known, value_of
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.tables import DriverInstall, DriverInstalls


def driver_install(snapshot: Snapshot) -> DriverInstall:
    """The row for the system; its last row is for the systems that no other names."""
    os = snapshot.os
    named = value_of(os.distro) or ""
    if value_of(os.wsl) is True:
        named = f"wsl {named}"
    elif value_of(os.family) == "windows":
        named = f"windows {named}"
    rows = load("driver_installs", DriverInstalls).install
    return next(row for row in rows if re.search(row.match, named, re.IGNORECASE) or row is rows[-1])


def how(snapshot: Snapshot) -> str:
    """The end of a sentence that begins with the driver to install; a container takes the driver of its host."""
    says = driver_install(snapshot).says
    return f"on the host, {says}" if isinstance(snapshot.os.container, Known) else says
