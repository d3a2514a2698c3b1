"""Required against recommended against installed versions, in four groups."""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from envcheck.compose._cells import code, row, table
from envcheck.compose.overview import slug
from envcheck.schema.blocks import Block, Cell, Fold, Paragraph, Part, Section
from envcheck.schema.describe import backend_title, listed
from envcheck.schema.facts import Absent, Unknown, is_known, text_of
from envcheck.schema.report import PackageRequirement, Subject


def packages_section(subject: Subject) -> Section | None:
    """One table per group that the matrix has rows for; None without any row."""
    groups = dict.fromkeys((package.group, package.title) for package in subject.tables.packages)
    parts = [_part(name, title, subject) for name, title in groups]
    if not parts:
        return None
    checked = min(package.checked for package in subject.tables.packages)
    text = (
        f"Required and recommended: table (checked {checked}), unless what is installed or the project pins a version. "
        "Installed: the target's package metadata."
    )
    shown = [part for part, any_there in parts if any_there]
    blocks: list[Block] = [Paragraph(text=text), *(shown or [parts[0][0]])]
    folded = tuple(part for part, any_there in parts if not any_there and part not in blocks)
    if folded:
        title = f"Not installed: {listed([part.title for part in folded])}"
        blocks.append(Fold(title=title, blocks=folded))
    return Section(id="packages", title="Package versions", blocks=tuple(blocks))


def _part(name: str, title: str, subject: Subject) -> tuple[Part, bool]:
    """The group's table, and whether any of its packages is there or might be."""
    packages = [package for package in subject.tables.packages if package.group == name]
    notes = any(package.says for package in packages)
    heads = ["Package", "Required", "Recommended", "Installed", "Status", *(["Note"] if notes else [])]
    title = title or name.replace("_", " ").capitalize()
    rows = [_row(package, subject)[: len(heads)] for package in packages]
    is_there = any(not isinstance(subject.snapshot.python.package(one.name), Absent) for one in packages)
    return Part(id=f"packages-{slug(name)}", title=title, blocks=(table(title, heads, rows),)), is_there


def _row(package: PackageRequirement, subject: Subject) -> tuple[Cell, ...]:
    installed = subject.snapshot.python.package(package.name)
    reachable, held = _reachable(package, subject), _held(package, subject)
    if isinstance(installed, Absent):
        version, status = "–", Cell(text="to be installed if wanted", mark="skipped")
    elif isinstance(installed, Unknown):
        version, status = "unknown", Cell(text=f"unknown ({installed.why})", mark="unknown")
    else:
        version = installed.value
        status = Cell(text="met", mark="good") if held else _status(installed.value, package, improvable=reachable)
    recommended = held or (_spoken(package.recommended) if reachable else _older(package, subject))
    shown = code(version) if version[:1].isdigit() else Cell(text=version)
    name = Cell(text=package.name, code=True, link=package.source)
    return row(name, _spoken(package.required), recommended, shown, status, package.says)


def _held(package: PackageRequirement, subject: Subject) -> str | None:
    """What holds an installed package: a pin of the project, else the strictest need of a backend that is ready."""
    names = (package.name, _TITLES.get(package.name, package.name))
    needs = []
    for verdict in subject.judgement.verdicts:
        if verdict.status != "met":
            continue
        if verdict.id == f"policy.pin.{package.name}":
            return f"{_spoken(verdict.expected)} (pinned by the project)"
        state = subject.judgement.backends.get(verdict.backend)
        is_ready = state is not None and state.status == "ready"
        if is_ready and verdict.title.lower() in names and verdict.expected[:1] in ("=", ">", "<", "~"):
            needs.append((_strictness(verdict.expected), verdict.expected, backend_title(verdict.backend)))
    if not needs:
        return None
    _, expected, title = max(needs)
    return f"{_spoken(expected)} (what {title} here needs)"


def _strictness(specifier: str) -> int:
    return 2 if "==" in specifier else 1 if "<" in specifier else 0


_TITLES = {"torch": "pytorch"}
"""Packages that a verdict's title calls by another name."""


def _spoken(specifier: str) -> str:
    return specifier.replace(">=", "≥ ").replace("<=", "≤ ").replace("==", "") or "any"


def _reachable(package: PackageRequirement, subject: Subject) -> bool:
    """False where the target's Python cannot have the recommended version."""
    python = subject.snapshot.python.version
    return not (package.python and is_known(python) and _inside(python.value, package.python) is False)


def _older(package: PackageRequirement, subject: Subject) -> str:
    python = text_of(subject.snapshot.python.version)
    return f"the newest for Python {python} ({_spoken(package.recommended)} needs Python {_spoken(package.python)})"


def _status(version: str, package: PackageRequirement, *, improvable: bool) -> Cell:
    enough = _inside(version, package.required)
    if enough is None:
        return Cell(text="unknown (the version cannot be compared)", mark="unknown")
    if not enough:
        return Cell(text="older than its current neighbours accept", mark="caution")
    if improvable and _inside(version, package.recommended) is False:
        return Cell(text="met; newer is recommended", mark="good")
    return Cell(text="met", mark="good")


def _inside(version: str, specifier: str) -> bool | None:
    """Whether a version is inside a PEP 440 specifier; None where one of the two is not PEP 440."""
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return None
