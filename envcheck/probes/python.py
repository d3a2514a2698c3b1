"""The target interpreter and its distributions, read from files: nothing of the target is imported below level 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envcheck.probes import _distributions, _interpreter
from envcheck.probes._values import flag, pick, present, table, tables, text, texts
from envcheck.schema.facts import BoolFact, Known, TextFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Damage, Package, Python

if TYPE_CHECKING:
    from envcheck.host import Host

MOST_PACKAGES = 5000


def collect(host: Host) -> Evidence:
    """`pyvenv.cfg`, the names in site-packages, metadata of the packages that rules look into."""
    layout = _interpreter.find(host)
    entries: list[_distributions.Entry] = []
    leftovers: list[str] = []
    for folder in layout.folders:
        found, left = _distributions.listing(host, folder)
        entries += found
        leftovers += left
    packages = []
    for entry in entries[:MOST_PACKAGES]:
        row: dict[str, Any] = {"name": entry.name, "version": entry.version}
        if entry.name in _distributions.LOOKED_INTO:
            row.update(_distributions.details(host, entry))
        packages.append(row)
    return {
        "version": layout.version,
        "asked": layout.asked,
        "implementation": layout.implementation,
        "kind": _kind(host, layout),
        "system_site": layout.system_site,
        "externally_managed": _externally_managed(host, layout),
        "folders": len(layout.folders),
        "packages": packages,
        "leftovers": len(leftovers),
    }


def _kind(host: Host, layout: _interpreter.Layout) -> str:
    parent = layout.prefix.replace("\\", "/")
    if layout.is_venv and "/uv/tools/" in parent:
        return "uv-tool"
    if layout.is_venv and "/pipx/venvs/" in parent:
        return "pipx"
    if layout.is_venv:
        return "venv"
    if host.is_dir(f"{layout.prefix}/conda-meta"):
        return "conda"
    marks = (("/.pyenv/", "pyenv"), ("/uv/python/", "uv-python"), ("/opt/homebrew/", "homebrew"))
    return next((kind for mark, kind in marks if mark in parent + "/"), "system")


def _externally_managed(host: Host, layout: _interpreter.Layout) -> bool:
    """PEP 668: the marker lies in the standard library's folder; a virtual environment is never managed."""
    if layout.is_venv:
        return False
    short = ".".join(layout.version.split(".")[:2])
    places = (f"{layout.prefix}/lib/python{short}", f"{layout.prefix}/lib/python3", f"{layout.prefix}/Lib")
    return any(host.exists(f"{place}/EXTERNALLY-MANAGED") for place in places)


def parse(evidence: Evidence) -> Python:
    """The interpreter, its distributions, and damage that names alone betray."""
    seen = table(evidence)
    listed = tables(seen.get("packages"))
    no_folder = "the folder of installed packages was not found"
    source = "site-packages" if seen.get("folders") else ""
    version = text(seen.get("version"), 20)
    return Python(
        version=pick(
            [("interpreter" if flag(seen.get("asked")) else "pyvenv.cfg, folder names", version)],
            "neither files nor the interpreter told the version",
        ),
        implementation=_implementation(seen),
        environment=pick([("prefix", text(seen.get("kind"), 40))], "the interpreter was not found"),
        externally_managed=_managed(seen),
        packages=Known(value=_packages(listed), source=source) if source else Unknown(why=no_folder),
        damage=Known(value=_damage(listed, seen), source="names in site-packages")
        if source
        else Unknown(why=no_folder),
    )


def _implementation(seen: Evidence) -> TextFact:
    return pick([("pyvenv.cfg", text(seen.get("implementation"), 20))], "the files do not name the implementation")


def _managed(seen: Evidence) -> BoolFact:
    return present(
        "EXTERNALLY-MANAGED", flag(seen.get("externally_managed")), "nobody looked for the marker of PEP 668"
    )


def _packages(listed: list[dict[str, Any]]) -> tuple[Package, ...]:
    """One record a name: the first in import order wins, as it does for `import`."""
    found: dict[str, Package] = {}
    for row in listed[:MOST_PACKAGES]:
        name, version = text(row.get("name"), 100), text(row.get("version"), 100)
        if name and version and name not in found:
            found[name] = Package(
                name=_distributions.normalise(name),
                version=text(row.get("declared"), 100) or version,
                build_tag=text(row.get("build"), 40) or "",
                origin=text(row.get("origin"), 20) or ("conda" if row.get("installer") == "conda" else ""),
                wheel_tags=tuple(texts(row.get("tags"))),
                requires=tuple(texts(row.get("requires"))),
            )
    return tuple(sorted(found.values(), key=lambda package: package.name))


def _damage(listed: list[dict[str, Any]], seen: Evidence) -> tuple[Damage, ...]:
    counts: dict[str, set[str]] = {}
    damage = []
    for row in listed:
        name, version = text(row.get("name"), 100), text(row.get("version"), 100)
        if name and version:
            counts.setdefault(name, set()).add(version)
            if row.get("metadata") is False:
                damage.append(
                    Damage(package=name, kind="broken_metadata", count=1, example=f"{name}-{version}.dist-info")
                )
    for name, versions in counts.items():
        if len(versions) > 1:
            damage.append(
                Damage(package=name, kind="duplicate", count=len(versions), example=", ".join(sorted(versions))[:200])
            )
    left = seen.get("leftovers")
    if isinstance(left, int) and not isinstance(left, bool) and 0 < left < 100000:
        damage.append(Damage(package="", kind="foreign", count=left, example="~… (left by an interrupted pip)"))
    return tuple(damage)


PROBE = Probe(section="python", collect=collect, parse=parse)
