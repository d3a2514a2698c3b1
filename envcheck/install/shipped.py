"""The locks that come with envcheck: `install/requirements.<profile>-<variant>.txt`.

Hashed requirements files that pip and uv read as they are. Comments carry what those do not need: for which systems and
Pythons every package has a wheel, the size of a wheel, and where a package is wanted if not everywhere (the marker in
the line says the same to installers). They name no index: hashes make a file the right one, wherever it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

from envcheck.resources import folder
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record
from envcheck.schema.plan import PlannedPackage

STALE_DAYS = 180
"""A lock older than this is not used: newest that works, never time travel."""
_HEADER = re.compile(r"^# (profile|variant|date|fits): (.*)$", re.MULTILINE)
_LINE = re.compile(
    r"^# (?P<size>\d+|\?) bytes(?:; only (?P<only>.*))?\n"
    r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]+?))?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)$",
    re.MULTILINE,
)


class Fit(Record):
    """A system for which every package of a lock has a wheel."""

    platform: str
    """As `torch_wheels.toml` names it: "linux_x86_64"."""
    floor: str
    """Oldest glibc or macOS; empty where there is none."""
    pythons: tuple[str, ...]


class Line(Record):
    """One package of a lock."""

    name: str
    version: str
    hashes: tuple[str, ...]
    """sha256 of every wheel that one of the systems could take."""
    size_bytes: int | None = None
    """Of one such wheel, in bytes."""
    marker: str = ""
    only: tuple[str, ...] = ()
    """Where the package is wanted, as "linux_x86_64/3.12"; empty for everywhere."""


class Shipped(Record):
    """One lock."""

    profile: str
    variant: str
    """Index tag of its torch build; "any" without torch."""
    date: str
    fits: tuple[Fit, ...]
    lines: tuple[Line, ...]


class Place(Record):
    """What the packages are for; None is "not known", which no lock fits."""

    platform: str | None
    floor: str | None
    """glibc or macOS version."""
    python: str


def as_text(lock: Shipped) -> str:
    """The file of a lock."""
    head = [
        f"# profile: {lock.profile}",
        f"# variant: {lock.variant}",
        f"# date: {lock.date}",
        *(f"# fits: {' '.join((fit.platform, fit.floor or '-', *fit.pythons))}" for fit in lock.fits),
        "# Made by install/refresh. Without envcheck: uv pip install --no-deps --require-hashes -r THIS_FILE",
    ]
    return "\n".join([*head, *(_line_text(line) for line in sorted(lock.lines, key=lambda each: each.name))]) + "\n"


def _line_text(line: Line) -> str:
    only = f"; only {' '.join(line.only)}" if line.only else ""
    marker = f" ; {line.marker}" if line.marker else ""
    hashes = "".join(f" \\\n    --hash=sha256:{digest}" for digest in line.hashes)
    size = "?" if line.size_bytes is None else line.size_bytes
    return f"# {size} bytes{only}\n{line.name}=={line.version}{marker}{hashes}"


def read(path: Path) -> Shipped:
    """The lock in a file. Raises EnvcheckError where it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EnvcheckError(
            f"The lock {path.name} cannot be read ({error.strerror}): reinstall llm-envcheck."
        ) from None
    head: dict[str, list[str]] = {}
    for name, value in _HEADER.findall(text):
        head.setdefault(name, []).append(value)
    if not {"profile", "variant", "date", "fits"} <= set(head):
        raise EnvcheckError(f"The lock {path.name} has no complete header: reinstall llm-envcheck.")
    fits = (value.split() for value in head["fits"])
    return Shipped(
        profile=head["profile"][0],
        variant=head["variant"][0],
        date=head["date"][0],
        fits=tuple(Fit(platform=f[0], floor="" if f[1] == "-" else f[1], pythons=tuple(f[2:])) for f in fits),
        lines=tuple(_read_lines(text)),
    )


def _read_lines(text: str) -> Iterator[Line]:
    for match in _LINE.finditer(text):
        yield Line(
            name=match["name"],
            version=match["version"],
            hashes=tuple(re.findall(r"sha256:([0-9a-f]{64})", match["hashes"])),
            size_bytes=None if match["size"] == "?" else int(match["size"]),
            marker=match["marker"] or "",
            only=tuple((match["only"] or "").split()),
        )


def path_of(profile: str, variant: str | None) -> Path:
    """Where the lock of a profile and a torch build is, if there is one."""
    return folder("install") / f"requirements.{profile}-{variant or 'any'}.txt"


def paths() -> list[Path]:
    """All locks that come with envcheck."""
    return sorted(folder("install").glob("requirements.*.txt"))


def sizes() -> dict[tuple[str, str], int]:
    """Bytes of a wheel by name and version, as far as the shipped locks know them."""
    lines = (line for path in paths() for line in read(path).lines)
    return {(line.name, line.version): line.size_bytes for line in lines if line.size_bytes is not None}


def for_place(wanted: Iterable[tuple[str, str | None]], place: Place, today: date) -> tuple[Shipped, ...] | None:
    """The locks of these profiles and variants; None where one of them does not exist, fit the place, or is stale."""
    found = []
    for profile, variant in wanted:
        path = path_of(profile, variant)
        if not path.is_file():
            return None
        lock = read(path)
        age = (today - date.fromisoformat(lock.date)).days
        if age > STALE_DAYS or not any(_fits(fit, place) for fit in lock.fits):
            return None
        found.append(lock)
    return tuple(found)


def _fits(fit: Fit, place: Place) -> bool:
    if fit.platform != place.platform or place.python not in fit.pythons:
        return False
    return not fit.floor or (place.floor is not None and _numbers(place.floor) >= _numbers(fit.floor))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def packages_of(locks: Sequence[Shipped], place: Place) -> tuple[PlannedPackage, ...] | None:
    """The packages for a place, each once; None where two locks disagree. `hash` holds every hash, with spaces."""
    here = f"{place.platform}/{place.python}"
    found: dict[str, PlannedPackage] = {}
    for line in (line for lock in locks for line in lock.lines if not line.only or here in line.only):
        package = PlannedPackage(
            name=line.name,
            version=line.version,
            hash=" ".join(f"sha256:{digest}" for digest in line.hashes),
            size_bytes=line.size_bytes,
        )
        if found.setdefault(line.name, package).version != line.version:
            return None
    return tuple(found[name] for name in sorted(found))
