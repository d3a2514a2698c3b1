"""Wheel file names in a paste: each says for which Python, system, architecture and C library it is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from envcheck.judge.rule import Case
from envcheck.judge.versions import Version
from envcheck.schema.paste import Line

_FILE = (
    r"([A-Za-z0-9][\w.]{0,60})-(\d[\w.+!]{0,80})(?:-\d\w{0,20})?"
    r"-((?:cp|py)\w{1,30}(?:\.(?:cp|py)\w{1,30}){0,3})-(\w{2,20})-([\w.]{3,120})\.whl"
)
_MANYLINUX = re.compile(r"manylinux_(\d)_(\d{1,2})_")


class WheelFile(NamedTuple):
    """One wheel's file name, taken apart."""

    line: Line
    name: str
    version: str
    pythons: tuple[str, ...]
    abi: str
    platform: str

    @property
    def glibc(self) -> Version | None:
        """The oldest C library that the platform tag allows; None for other tags."""
        found = [(int(a), int(b)) for a, b in _MANYLINUX.findall(self.platform + "_")]
        return min(found, default=None)

    def runs_on(self, python: Version) -> bool:
        """Whether the Python tag serves this interpreter; a stable ABI serves every later minor."""
        for tag in self.pythons:
            major, minor = tag[2:3], tag[3:]
            if tag.startswith("py") or not minor.isdigit():
                return True
            if python[:2] == (int(major), int(minor)) or (
                self.abi == "abi3" and python[:2] >= (int(major), int(minor))
            ):
                return True
        return False


def wheel_files(case: Case) -> Iterator[WheelFile]:
    """Every wheel that the paste names."""
    for line, match in case.paste.matching(".whl", _FILE):
        name, release, pythons, abi, platform = match.groups()
        yield WheelFile(line, name, release, tuple(pythons.split(".")), abi, platform)
