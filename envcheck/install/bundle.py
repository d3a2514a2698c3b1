"""A wheelhouse that installs without network: wheels, lock, hashes, licences and a bill of materials for one target."""

from __future__ import annotations

import email.parser
import hashlib
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from envcheck.install.receipt import Receipt
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.facts import Record

LIMIT_S = 600.0
MANIFEST = "bundle.json"


class Manifest(Record, omit_defaults=False):
    """What a bundle is for."""

    platform: str
    """uv's name of the platform; empty for the one it was made on."""
    receipt: Receipt
    kind: str = "envcheck-bundle"
    schema_version: str = "1"


class Wheel(Record):
    """One file of the lock: where it is and what it must hash to."""

    filename: str
    url: str
    sha256: str


def wheels_of(lock: dict[str, Any], base: Path) -> tuple[Wheel, ...]:
    """The wheels that a PEP 751 lock names."""
    found = []
    for package in lock.get("packages", []):
        for file in package.get("wheels", []):
            url = file.get("url") or (base / file["path"]).absolute().as_uri()
            name = file.get("name") or urllib.parse.unquote(url.rsplit("/", 1)[-1])
            found.append(Wheel(filename=Path(name).name, url=url, sha256=file["hashes"]["sha256"]))
    return tuple(found)


def write(
    folder: Path, manifest: Manifest, wheels: Sequence[Wheel], stamp: str, progress: Callable[[str], None]
) -> int:
    """Fetch the wheels into `folder` and describe them; the bytes written. Raises EnvcheckError on a wrong hash."""
    _require_room(folder)
    total = 0
    for number, wheel in enumerate(wheels, 1):
        progress(f"{number}/{len(wheels)} {wheel.filename}")
        total += _fetch(wheel, folder / wheel.filename)
    sums = "".join(f"{wheel.sha256}  {wheel.filename}\n" for wheel in sorted(wheels, key=lambda w: w.filename))
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")
    (folder / "requirements.txt").write_text(manifest.receipt.lock, encoding="utf-8")
    parts = [_part(folder / wheel.filename, wheel.sha256) for wheel in wheels]
    (folder / "sbom.cdx.json").write_bytes(msgspec.json.format(msgspec.json.encode(_sbom(parts, stamp)), indent=2))
    rows = sorted({(p["name"], p["version"], _licence(p)) for p in parts})
    lines = "".join(f"| {name} | {version} | {_cell(licence)} |\n" for name, version, licence in rows)
    (folder / "LICENSES.md").write_text(
        "| package | version | licence |\n| --- | --- | --- |\n" + lines, encoding="utf-8"
    )
    # Last, because it says that everything above is complete.
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return total


def read(folder: Path) -> Manifest:
    """The manifest of a finished bundle; one sentence where it is none."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError:
        raise InputError(
            f"{folder} is not a finished bundle (it has no {MANIFEST}): make one with `envcheck bundle`."
        ) from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{folder / MANIFEST} cannot be read ({error}): make the bundle again.") from None


def require_profiles(folder: Path, manifest: Manifest, names: Sequence[str]) -> None:
    """Refuse a bundle that was not made for these profiles."""
    if lacking := [name for name in names if name not in manifest.receipt.profiles]:
        has = " and ".join(manifest.receipt.profiles)
        make = " ".join(["envcheck bundle", *names, "-o", "DIR"])
        raise InputError(f"The bundle {folder} is for {has}, not for {lacking[0]}: make one with `{make}`.")


def require_whole(folder: Path, manifest: Manifest) -> None:
    """Refuse a bundle whose files are not those it was made with, before any of them is opened.

    The lock in the manifest says what they hash to. A wheel that it does not name is none of the bundle's, and each
    package that it names must be there.
    """
    hashes = {path.name: _sha256(path) for path in sorted(folder.glob("*.whl"))}
    locked = {line.partition("==")[0]: set(_HASH.findall(line)) for line in manifest.receipt.lock.splitlines()}
    known = set[str]().union(*locked.values())
    if strange := [name for name, digest in hashes.items() if digest not in known]:
        says = f"{strange[0]} in {folder} is not a file that this bundle was made with"
        raise InputError(f"{says}: copy the bundle again, or remove what was added.")
    if missing := [name for name, wanted in locked.items() if wanted.isdisjoint(hashes.values())]:
        raise InputError(f"The bundle {folder} lacks its wheel of {missing[0]}: copy the bundle again.")


_HASH = re.compile(r"sha256:([0-9a-f]{64})")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_room(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}): choose another folder.") from None
    if any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} is not empty and no bundle: choose an empty or new folder.")
    (folder / MANIFEST).unlink(missing_ok=True)


def _fetch(wheel: Wheel, path: Path) -> int:
    """One wheel, hashed while it arrives; it gets its name only when the hash is right."""
    if path.is_file() and _sha256(path) == wheel.sha256:
        return path.stat().st_size
    if urllib.parse.urlsplit(wheel.url).scheme not in ("https", "http", "file"):
        raise EnvcheckError(
            f"{wheel.filename} has an address that is neither a web page nor a file: it is not fetched."
        )
    partial = path.with_name(path.name + ".part")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(wheel.url, timeout=LIMIT_S) as source, partial.open("wb") as file:  # noqa: S310
            while block := source.read(1 << 20):
                digest.update(block)
                file.write(block)
    except (OSError, urllib.error.URLError) as error:
        partial.unlink(missing_ok=True)
        raise EnvcheckError(f"{wheel.filename} could not be fetched ({error}): run the same command again.") from None
    if digest.hexdigest() != wheel.sha256:
        partial.unlink(missing_ok=True)
        raise EnvcheckError(f"{wheel.filename} does not have the hash of its lock: it was thrown away.")
    shutil.move(partial, path)
    return path.stat().st_size


def _part(path: Path, sha256: str) -> dict[str, Any]:
    """Name, version and licence of a wheel, from its own metadata."""
    with zipfile.ZipFile(path) as archive:
        inside = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
        text = archive.read(inside).decode("utf-8", "replace")
    fields = email.parser.HeaderParser().parsestr(text)
    classified = [c.rsplit("::", 1)[-1].strip() for c in fields.get_all("Classifier", []) if c.startswith("License ::")]
    licence = fields.get("License-Expression") or ", ".join(classified) or (fields.get("License") or "").split("\n")[0]
    return {
        "expression": fields.get("License-Expression") or "",
        "name": fields["Name"],
        "version": fields["Version"],
        "licence": licence,
        "sha256": sha256,
        "file": path.name,
    }


def _licence(part: dict[str, Any]) -> str:
    return str(part["licence"])[:80] or "not stated"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _purl(part: dict[str, Any]) -> str:
    """The package URL (https://github.com/package-url/purl-spec, type pypi): normalised name, escaped version."""
    name = re.sub(r"[-_.]+", "-", part["name"]).lower()
    return f"pkg:pypi/{urllib.parse.quote(name, safe='')}@{urllib.parse.quote(part['version'], safe='')}"


def _sbom(parts: Sequence[dict[str, Any]], stamp: str) -> dict[str, Any]:
    """CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/)."""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(sorted(p['sha256'] for p in parts)))}",
        "version": 1,
        "metadata": {"timestamp": stamp, "tools": {"components": [{"type": "application", "name": "llm-envcheck"}]}},
        "components": [
            {
                "type": "library",
                "bom-ref": f"{_purl(p)}#{p['file']}",
                "name": p["name"],
                "version": p["version"],
                "purl": _purl(p),
                "hashes": [{"alg": "SHA-256", "content": p["sha256"]}],
                "licenses": [
                    {"expression": p["expression"]} if p["expression"] else {"license": {"name": _licence(p)}}
                ],
            }
            for p in parts
        ],
    }
