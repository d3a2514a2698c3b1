"""Installed distributions against the disk: every line of every RECORD, and what no RECORD accounts for.

Only this sees an installation that was interrupted: its metadata is complete, its files are not (`pip check` and
`uv pip check` compare metadata with metadata). RECORD is the CSV of the "Recording installed projects" specification
(https://packaging.python.org/en/latest/specifications/recording-installed-packages/).
"""

from __future__ import annotations

import csv
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from envcheck.probes import _compiled, _distributions
from envcheck.probes._digest import differing
from envcheck.probes._versions import dotted
from envcheck.schema.facts import Record
from envcheck.schema.snapshot import Damage, DamageKind

if TYPE_CHECKING:
    from envcheck.host import Host

MOST_PATHS = 50
"""Paths kept per finding; the count is always complete."""
_RECORD_LIMIT = 64 * 1024 * 1024
_EXTENSION = re.compile(r"\.(?:cpython-3\d+|cp3\d+|abi3)[\w.-]*\.(?:so|pyd)$")
# Files of site-packages that installers and environments put there without a RECORD line.
_NOBODYS = re.compile(
    r"(?:__pycache__|_virtualenv\.(?:py|pth)|easy-install\.pth|README\.txt|[\w.-]+\.pth|[\w.-]+\.egg-link|\.lock)"
)


class Line(NamedTuple):
    """One file of a RECORD: its path as written, where that is, and what it should be."""

    path: str
    folder: str
    name: str
    digest: str
    size: int | None


class Inspection(Record):
    """What a comparison found. Paths are relative to site-packages."""

    packages: int
    files: int
    hashed_bytes: int = 0
    damage: tuple[Damage, ...] = ()
    versions: dict[str, str] = {}  # noqa: RUF012
    """Versions of the packages that `damage` names, by normalised name."""
    paths: dict[str, tuple[str, ...]] = {}  # noqa: RUF012  a frozen record; msgspec copies empty defaults
    """ "package kind" to the paths concerned, at most MOST_PATHS each."""


def damage(host: Host, folders: tuple[str, ...]) -> tuple[Damage, ...]:
    """Existence and size of every recorded file (no hashes)."""
    return inspect(host, folders).damage


def inspect(host: Host, folders: tuple[str, ...], hashes: bool = False) -> Inspection:
    """Compare all distributions of these site-packages folders with the disk; `hashes` reads every file."""
    comparison = _Comparison(host, folders)
    hashed = 0
    for folder in folders:
        hashed += comparison.folder(folder, hashes)
    comparison.duplicates()
    found = tuple(
        Damage(package=package, kind=kind, count=len(paths), example=_example(kind, paths))
        for (package, kind), paths in sorted(comparison.found.items())
    )
    shown = {f"{package} {kind}": tuple(paths[:MOST_PATHS]) for (package, kind), paths in comparison.found.items()}
    return Inspection(
        packages=len(comparison.versions),
        files=comparison.files,
        hashed_bytes=hashed,
        damage=found,
        versions={
            each.package: comparison.versions[each.package][0] for each in found if each.package in comparison.versions
        },
        paths=shown,
    )


_MODULE = re.compile(r"\.(?:py|pyd|dll|so(?:\.[\d.]+)?)$")
_TESTS = re.compile(r"(?:^|/)tests?/")


def _example(kind: DamageKind, paths: list[str]) -> str:
    """What stands for a finding: all versions of a package that is there twice, else the first path, and one that
    Python would import or load before any other."""
    if kind == "duplicate":
        return ", ".join(sorted(paths))[:200]
    return next((path for path in paths if _MODULE.search(path) and not _TESTS.search(path)), paths[0])


class _Comparison:
    """State of one inspection: listings already read, and findings so far."""

    def __init__(self, host: Host, folders: tuple[str, ...]) -> None:
        self.host = host
        self.found: dict[tuple[str, DamageKind], list[str]] = {}
        self.versions: dict[str, list[str]] = {}
        self.files = 0
        self.numpy_2 = any(
            entry.name == "numpy" and dotted(entry.version) >= (2,)
            for folder in folders
            for entry in _distributions.listing(host, folder)[0]
        )
        self._sizes: dict[str, dict[str, int]] = {}

    def sizes(self, folder: str) -> dict[str, int]:
        """Names in a folder to file sizes, -1 for folders; each folder is scanned once."""
        if folder not in self._sizes:
            self._sizes[folder] = self.host.sizes(folder)
        return self._sizes[folder]

    def add(self, package: str, kind: DamageKind, path: str) -> None:
        """Note a finding."""
        self.found.setdefault((package, kind), []).append(path)

    def folder(self, site: str, hashes: bool) -> int:
        """Compare one site-packages folder; returns how many bytes were hashed."""
        entries, leftovers = _distributions.listing(self.host, site)
        for name in leftovers:
            self.add("", "foreign", name)
        claimed: dict[str, set[str]] = {}
        unrecorded, to_hash = False, []
        for entry in entries:
            self.versions.setdefault(entry.name, []).append(entry.version)
            lines = self._lines(site, entry)
            if lines is None:
                unrecorded = True
                continue
            for line in lines:
                claimed.setdefault(line.folder, set()).add(line.name)
            whole = self._compare(entry.name, lines)
            if hashes:
                to_hash += [(entry.name, line) for line in whole if line.digest]
            if self.numpy_2 and entry.name != "numpy":
                self._numpy(entry.name, whole)
        for package, path in differing(self.host, to_hash):
            self.add(package, "changed", path)
        self._foreign(site, claimed, unrecorded)
        return sum(line.size or 0 for _, line in to_hash)

    def _lines(self, site: str, entry: _distributions.Entry) -> list[Line] | None:
        """The RECORD of a distribution; None where it has none that can be used."""
        where = entry.folder.rsplit("/", 1)[-1]
        if entry.folder.endswith(".egg-info"):
            return None
        declared = _distributions.declared(self.host, entry)
        if declared is None or _distributions.normalise(declared[0]) != entry.name:
            self.add(entry.name, "broken_metadata", f"{where}/METADATA")
        content = self.host.read(f"{entry.folder}/RECORD", _RECORD_LIMIT)
        if content is None:
            # Debian's packages have none on purpose; dpkg keeps their list of files.
            if not site.endswith("dist-packages"):
                self.add(entry.name, "no_record", where)
            return None
        try:
            return lines_of(content, site)
        except csv.Error:
            self.add(entry.name, "broken_metadata", f"{where}/RECORD")
            return None

    def _compare(self, package: str, lines: list[Line]) -> list[Line]:
        """Existence and size; gives back the lines whose file is there with the right size."""
        whole = []
        for line in lines:
            self.files += 1
            size = self.sizes(line.folder).get(line.name)
            if size is None or size < 0:
                # Byte code is made again when needed; its absence harms nobody.
                if not line.name.endswith(".pyc"):
                    self.add(package, "missing", line.path)
            elif line.size is not None and size != line.size and not line.name.endswith(".pyc"):
                self.add(package, "truncated" if size < line.size else "changed", line.path)
            else:
                whole.append(line)
        return whole

    def _numpy(self, package: str, lines: list[Line]) -> None:
        for line in lines:
            if _EXTENSION.search(line.name):
                content = self.host.read_bytes(f"{line.folder}/{line.name}", _compiled.SCAN_LIMIT) or b""
                if _compiled.numpy_abi(content) == "1":
                    self.add(package, "built_for_numpy_1", line.path)

    def _foreign(self, site: str, claimed: dict[str, set[str]], unrecorded: bool) -> None:
        """Files that no RECORD names, in folders that some RECORD claims; at the top only where all have one."""
        inside = {folder for folder in claimed if folder.startswith(site + "/") and not folder.endswith("-info")}
        parents = {p for folder in inside for p in _above(folder, site)}
        for folder in sorted(inside | parents):
            for name, size in self.sizes(folder).items():
                unknown = size >= 0 and name not in claimed.get(folder, ()) and not name.endswith(".pyc")
                if unknown and "/__pycache__" not in folder:
                    path = f"{folder}/{name}".removeprefix(site + "/")
                    self.add(path.split("/")[0], "foreign", path)
        if not unrecorded:
            tops = {folder.removeprefix(site + "/").split("/")[0] for folder in inside}
            for name in self.sizes(site):
                known = (
                    name in tops
                    or name in claimed.get(site, ())
                    or name.endswith(("-info", "~"))
                    or name.startswith("~")
                )
                if not known and not _NOBODYS.fullmatch(name):
                    self.add("", "foreign", name)

    def duplicates(self) -> None:
        """One package more than once, in one folder or in several."""
        for name, versions in self.versions.items():
            if len(set(versions)) > 1:
                for version in sorted(set(versions)):
                    self.add(name, "duplicate", version)


def _above(folder: str, site: str) -> list[str]:
    """The folders between site-packages and `folder`, without either."""
    found = []
    parent = folder.rpartition("/")[0]
    while len(parent) > len(site):
        found.append(parent)
        parent = parent.rpartition("/")[0]
    return found


def lines_of(content: str, site: str) -> list[Line]:
    """Lines of a RECORD. A path that leaves the environment altogether is not followed; csv.Error for no CSV at all."""
    limit = site.rsplit("/", 3)[0] + "/" if site.count("/") > 3 else "/"
    found = []
    for row in csv.reader(content.splitlines()):
        if not row or not row[0]:
            continue
        path = row[0].replace("\\", "/")
        folder, _, name = path.rpartition("/")
        where = f"{site}/{folder}" if folder else site
        if ".." in folder or path.startswith("/"):
            where = os.path.normpath(folder if path.startswith("/") else where)
            if not (where + "/").startswith(limit):
                continue
        size = row[2] if len(row) > 2 else ""
        found.append(
            Line(
                path,
                where,
                name,
                row[1] if len(row) > 1 else "",
                int(size) if size.isdecimal() and len(size) < 16 else None,
            )
        )
    return found
