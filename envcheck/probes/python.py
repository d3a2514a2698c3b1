"""The target interpreter and its distributions, read from files: nothing of the target is imported below level 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from envcheck.probes import _compiled, _configuration, _distributions, _interpreter, _presence, _torch_files
from envcheck.probes._damage import parse_damage
from envcheck.probes._values import flag, pick, present, table, tables, text, texts
from envcheck.schema.facts import BoolFact, Known, TextFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Package, Python, TorchBuild

if TYPE_CHECKING:
    from envcheck.host import Host

MOST_PACKAGES = 5000


def collect(host: Host) -> Evidence:
    """`pyvenv.cfg`, names in site-packages, metadata of the packages that rules look into; torch from level 2 on."""
    layout = _interpreter.find(host)
    packages: list[dict[str, Any]] = []
    leftovers = 0
    libraries: list[str] = []
    torch: dict[str, str] = {}
    looks: list[dict[str, Any]] = []
    for folder in layout.folders:
        entries, left = _distributions.listing(host, folder)
        leftovers += len(left)
        packages += [_package(host, folder, entry) for entry in entries[:MOST_PACKAGES]]
        libraries += _compiled.shipped(host, folder)
        if host.level < 2:
            looks.append(_presence.look(host, folder, entries))
        torch = torch or _torch_files.from_file(host, folder)
    evidence: Evidence = {
        "version": layout.version,
        "asked": layout.asked,
        "implementation": layout.implementation,
        "kind": _kind(host, layout),
        "system_site": layout.system_site,
        "externally_managed": _externally_managed(host, layout),
        "folders": len(layout.folders),
        "packages": packages,
        "leftovers": leftovers,
        "presence": looks,
        "libraries": sorted(set(libraries)),
        "torch": torch,
        "configuration": _configuration.collect(host, layout.prefix, layout.is_venv),
    }
    if host.level >= 2:
        evidence.update(_deeper(host, layout))
    return evidence


def _package(host: Host, folder: str, entry: _distributions.Entry) -> dict[str, Any]:
    row: dict[str, Any] = {"name": entry.name, "version": entry.version}
    if entry.name in _distributions.LOOKED_INTO:
        row.update(_distributions.details(host, entry))
        if compiled := _compiled.needs(host, folder, entry):
            row["compiled"] = compiled
    return row


def _deeper(host: Host, layout: _interpreter.Layout) -> Evidence:
    """What costs seconds: the import of torch in the target, and RECORD against the disk."""
    from envcheck.probes import _record
    from envcheck.probes._redact import Redactor

    found = _record.damage(host, layout.folders)
    return {
        "imported": _torch_files.by_import(
            host, layout.python, Redactor(host, layout.prefix if layout.is_venv else "")
        ),
        # The names of files that belong to no package are the user's own.
        "record": [{**msgspec.to_builtins(d), "example": "" if d.kind == "foreign" else d.example} for d in found],
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
    """The interpreter, its distributions, what torch was built for, and damage."""
    seen = table(evidence)
    listed = tables(seen.get("packages"))
    no_folder = Unknown(why="the folder of installed packages was not found")
    source = "site-packages" if seen.get("folders") else ""
    installed = any(row.get("name") == "torch" for row in listed)
    return Python(
        version=pick(
            [("interpreter" if flag(seen.get("asked")) else "pyvenv.cfg, folder names", text(seen.get("version"), 20))],
            "neither files nor the interpreter told the version",
        ),
        implementation=_implementation(seen),
        environment=pick([("prefix", text(seen.get("kind"), 40))], "the interpreter was not found"),
        externally_managed=_managed(seen),
        packages=Known(value=_packages(listed), source=source) if source else no_folder,
        damage=parse_damage(listed, seen) if source else no_folder,
        libraries=Known(value=tuple(texts(seen.get("libraries"))), source=source) if source else no_folder,
        configuration=_settings(seen.get("configuration")),
        torch=_torch_files.parse(seen.get("torch"), seen.get("imported"), installed) if source else TorchBuild(),
    )


def _settings(value: object) -> Known[dict[str, str]] | Unknown:
    if not isinstance(value, dict):
        return Unknown(why="the settings of pip and uv were not read")
    kept = {key: shown for key, each in table(value).items() if text(key, 100) and (shown := text(each)) is not None}
    return Known(value=kept, source="pip.conf, uv.toml")


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
        name, version, compiled = text(row.get("name"), 100), text(row.get("version"), 100), table(row.get("compiled"))
        if name and version and name not in found:
            found[name] = Package(
                name=_distributions.normalise(name),
                version=text(row.get("declared"), 100) or version,
                build_tag=text(row.get("build"), 40) or "",
                origin=text(row.get("origin"), 20) or ("conda" if row.get("installer") == "conda" else ""),
                wheel_tags=tuple(texts(row.get("tags"))),
                requires=tuple(texts(row.get("requires"))),
                requires_python=text(row.get("requires_python"), 80) or "",
                needs_libraries=tuple(texts(compiled.get("needed"))),
                needs_glibc=text(compiled.get("glibc"), 20) or "",
                needs_glibcxx=text(compiled.get("glibcxx"), 20) or "",
                numpy_abi=text(row.get("numpy_abi"), 4) or "",
            )
    return tuple(sorted(found.values(), key=lambda package: package.name))


PROBE = Probe(section="python", collect=collect, parse=parse, waits=True)
