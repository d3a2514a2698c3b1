"""Required against recommended against installed versions, in four groups."""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from envcheck.compose._cells import code, row, table
from envcheck.schema.blocks import Cell, Part, Section
from envcheck.schema.facts import Absent, Unknown
from envcheck.schema.report import PackageGroup, PackageRequirement, Subject
from envcheck.schema.snapshot import Snapshot

GROUPS: dict[PackageGroup, str] = {
    "core_ml": "Core ML libraries",
    "web": "Web framework",
    "vector_db": "Vector database clients",
    "data": "Data processing",
}


def packages_section(subject: Subject) -> Section | None:
    """One table per group that the matrix has rows for; None without any row."""
    parts = []
    for group, title in GROUPS.items():
        rows = [
            _row(requirement, subject.snapshot) for requirement in subject.tables.packages if requirement.group == group
        ]
        if rows:
            heads = ["Package", "Required", "Recommended", "Installed", "Status", "What for"]
            checked = sorted({r.checked for r in subject.tables.packages if r.group == group})
            basis = f"Required and recommended: table (checked {checked[0]}). Installed: the target's package metadata."
            parts.append(
                Part(id=f"packages-{group.replace('_', '-')}", title=title, blocks=(table(title, heads, rows, basis),))
            )
    return Section(id="packages", title="Package versions", blocks=tuple(parts)) if parts else None


def _row(requirement: PackageRequirement, snapshot: Snapshot) -> tuple[Cell, ...]:
    installed = snapshot.python.package(requirement.name)
    if isinstance(installed, Absent):
        version, status = "not installed", Cell(text="to be installed if wanted", mark="caution")
    elif isinstance(installed, Unknown):
        version, status = "unknown", Cell(text=f"unknown ({installed.why})", mark="unknown")
    else:
        version, status = installed.value, _status(installed.value, requirement)
    return row(
        Cell(text=requirement.name, code=True, link=requirement.source),
        requirement.required or "any",
        requirement.recommended or "–",
        code(version) if version[:1].isdigit() else version,
        status,
        requirement.says,
    )


def _status(version: str, requirement: PackageRequirement) -> Cell:
    required, recommended = _satisfies(version, requirement.required), _satisfies(version, requirement.recommended)
    if required is None:
        return Cell(text="unknown (the version cannot be compared)", mark="unknown")
    if not required:
        return Cell(text="outside what is required", mark="bad")
    if recommended is False:
        return Cell(text="works; newer is recommended", mark="caution")
    return Cell(text="met", mark="good")


def _satisfies(version: str, specifier: str) -> bool | None:
    """Whether a version is inside a PEP 440 specifier; None where one of the two is not PEP 440."""
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return None
