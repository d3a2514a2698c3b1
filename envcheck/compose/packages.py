"""Required against recommended against installed versions, in four groups."""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from envcheck.compose._cells import code, row, table
from envcheck.compose.overview import slug
from envcheck.schema.blocks import Cell, Part, Section
from envcheck.schema.facts import Absent, Unknown, is_known, text_of
from envcheck.schema.report import PackageRequirement, Subject


def packages_section(subject: Subject) -> Section | None:
    """One table per group that the matrix has rows for; None without any row."""
    groups = dict.fromkeys((package.group, package.title) for package in subject.tables.packages)
    parts = tuple(_part(name, title, subject) for name, title in groups)
    return Section(id="packages", title="Package versions", blocks=parts) if parts else None


def _part(name: str, title: str, subject: Subject) -> Part:
    packages = [package for package in subject.tables.packages if package.group == name]
    heads = ["Package", "Required", "Recommended", "Installed", "Status", "Note"]
    checked = min(package.checked for package in packages)
    basis = f"Required and recommended: table (checked {checked}). Installed: the target's package metadata."
    title = title or name.replace("_", " ").capitalize()
    rows = [_row(package, subject) for package in packages]
    return Part(id=f"packages-{slug(name)}", title=title, blocks=(table(title, heads, rows, basis),))


def _row(package: PackageRequirement, subject: Subject) -> tuple[Cell, ...]:
    installed = subject.snapshot.python.package(package.name)
    reachable = _reachable(package, subject)
    if isinstance(installed, Absent):
        version, status = "not installed", Cell(text="to be installed if wanted", mark="caution")
    elif isinstance(installed, Unknown):
        version, status = "unknown", Cell(text=f"unknown ({installed.why})", mark="unknown")
    else:
        version, status = installed.value, _status(installed.value, package, reachable=reachable)
    recommended = _spoken(package.recommended) if reachable else _older(package, subject)
    shown = code(version) if version[:1].isdigit() else Cell(text=version)
    name = Cell(text=package.name, code=True, link=package.source)
    return row(name, _spoken(package.required), recommended, shown, status, package.says)


def _spoken(specifier: str) -> str:
    return specifier.replace(">=", "≥ ").replace("<=", "≤ ").replace("==", "") or "any"


def _reachable(package: PackageRequirement, subject: Subject) -> bool:
    """False where the target's Python cannot have the recommended version."""
    python = subject.snapshot.python.version
    return not (package.python and is_known(python) and _inside(python.value, package.python) is False)


def _older(package: PackageRequirement, subject: Subject) -> str:
    python = text_of(subject.snapshot.python.version)
    return f"the newest for Python {python} ({_spoken(package.recommended)} needs Python {_spoken(package.python)})"


def _status(version: str, package: PackageRequirement, *, reachable: bool) -> Cell:
    enough = _inside(version, package.required)
    if enough is None:
        return Cell(text="unknown (the version cannot be compared)", mark="unknown")
    if not enough:
        return Cell(text="older than its current neighbours accept", mark="caution")
    if reachable and _inside(version, package.recommended) is False:
        return Cell(text="met; newer is recommended", mark="good")
    return Cell(text="met", mark="good")


def _inside(version: str, specifier: str) -> bool | None:
    """Whether a version is inside a PEP 440 specifier; None where one of the two is not PEP 440."""
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return None
