"""Bundles: for the machine they were made for only, described by a bill of materials that others can read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.bundling import require_fitting_bundle
from envcheck.importers import assume
from envcheck.install import bundle
from envcheck.install.receipt import Receipt
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.recipe import Choice
from envcheck.schema.snapshot import Snapshot
from tests.install.wheels import wheel

ROOT = Path(__file__).resolve().parent.parent.parent


def machine(**changes: Any) -> Snapshot:
    stated = {"os": "linux", "arch": "x86_64", "glibc": "2.35", "python": "3.12.3", "gpus": [], **changes}
    return assume.to_snapshot(assume.read(msgspec.json.encode(stated).decode(), "case"))


def made(folder: Path, platform: str = "x86_64-manylinux_2_31", python: str = "3.12") -> Path:
    folder.mkdir(exist_ok=True)
    receipt = Receipt(profiles=("web",), python=python, choice=Choice(requirements=()), packages=(), lock="")
    (folder / bundle.MANIFEST).write_bytes(msgspec.json.encode(bundle.Manifest(platform=platform, receipt=receipt)))
    return folder


@pytest.mark.parametrize(
    ("platform", "python", "says"),
    [
        ("x86_64-manylinux_2_31", "3.11", "is for Python 3.11, the target has 3.12"),
        ("x86_64-manylinux_2_39", "3.12", "is for x86_64-manylinux_2_39"),
        ("aarch64-manylinux_2_28", "3.12", "is for aarch64-manylinux_2_28"),
        ("x86_64-pc-windows-msvc", "3.12", "is for x86_64-pc-windows-msvc"),
    ],
)
def test_a_bundle_for_another_machine_is_refused(tmp_path: Path, platform: str, python: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        require_fitting_bundle(made(tmp_path, platform, python), machine())


def test_a_bundle_for_an_older_glibc_fits(tmp_path: Path) -> None:
    require_fitting_bundle(made(tmp_path), machine())


def test_folders_that_are_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a finished bundle"):
        bundle.read(tmp_path)
    (tmp_path / bundle.MANIFEST).write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        bundle.read(tmp_path)


def test_a_wheel_with_another_hash_is_thrown_away(tmp_path: Path) -> None:
    path = wheel(tmp_path / "index", "alpha", "1.0")
    wrong = bundle.Wheel(filename=path.name, url=path.as_uri(), sha256="0" * 64)
    manifest = bundle.read(made(tmp_path / "other"))
    with pytest.raises(EnvcheckError, match="does not have the hash"):
        bundle.write(tmp_path / "out", manifest, [wrong], "2026-11-21T00:00:00+00:00", lambda _: None)
    assert [p.name for p in (tmp_path / "out").iterdir()] == []


def whole(folder: Path, *names: str) -> bundle.Manifest:
    """A bundle with these wheels and their hashes in its lock."""
    folder.mkdir()
    lines = [
        f"{name}==1.0 --hash=sha256:{hashlib.sha256(wheel(folder, name, '1.0').read_bytes()).hexdigest()}"
        for name in names
    ]
    lock = "".join(f"{line}\n" for line in lines)
    receipt = Receipt(profiles=("web",), python="3.12", choice=Choice(requirements=()), packages=(), lock=lock)
    return bundle.Manifest(platform="", receipt=receipt)


@pytest.mark.parametrize("damage", ["cut", "swapped", "added", "removed", ""])
def test_a_bundle_is_what_it_was_when_it_was_made(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "house"
    manifest = whole(folder, "alpha", "beta")
    path = folder / "alpha-1.0-py3-none-any.whl"
    says = "alpha-1.0.*is not a file that this bundle was made with"
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:100])
        case "swapped":
            wheel(folder, "alpha", "1.0", files=4)  # another wheel of that name and version, with a RECORD that agrees
        case "added":
            wheel(folder, "gamma", "1.0")
            says = "gamma-1.0.*is not a file"
        case "removed":
            path.unlink()
            says = "lacks its wheel of alpha"
        case _:
            bundle.require_whole(folder, manifest)
            return
    with pytest.raises(InputError, match=says):
        bundle.require_whole(folder, manifest)


def test_a_bundle_is_for_its_own_profiles(tmp_path: Path) -> None:
    manifest = whole(tmp_path / "house", "alpha")
    bundle.require_profiles(tmp_path, manifest, ["web"])
    with pytest.raises(InputError, match="is for web, not for vector: make one with `envcheck bundle web vector"):
        bundle.require_profiles(tmp_path, manifest, ["web", "vector"])


text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=30)
PARTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True),
            "version": st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(\+cu[0-9]{3})?", fullmatch=True),
            "licence": text,
            "expression": st.sampled_from(["", "MIT", "Apache-2.0 OR BSD-3-Clause"]),
            "sha256": st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
            "file": st.from_regex(r"[a-z]{1,9}-[0-9]-py3-none-any\.whl", fullmatch=True),
        }
    ),
    max_size=6,
    unique_by=lambda part: part["file"],
)


@settings(max_examples=80, deadline=None)
@given(parts=PARTS)
def test_the_bill_of_materials_has_what_cyclonedx_asks_for(parts: list[dict[str, Any]]) -> None:
    """Required fields and patterns of https://cyclonedx.org/schema/bom-1.6.schema.json."""
    bom = json.loads(msgspec.json.encode(bundle._sbom(parts, "2026-11-21T00:00:00+00:00")))
    assert (bom["bomFormat"], bom["specVersion"], bom["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bom["serialNumber"])
    assert set(bom) <= {"$schema", "bomFormat", "specVersion", "serialNumber", "version", "metadata", "components"}
    references = [component["bom-ref"] for component in bom["components"]]
    assert len(set(references)) == len(references) == len(parts)
    for component in bom["components"]:
        assert component["type"] == "library"
        assert component["name"]
        assert re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[A-Za-z0-9.%-]+", component["purl"])
        assert [(h["alg"], len(h["content"])) for h in component["hashes"]] == [("SHA-256", 64)]
        (licence,) = component["licenses"]
        assert licence.get("expression") or licence["license"]["name"]


@pytest.mark.packaging
def test_a_bundle_installs_where_there_is_no_network(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-n", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("a namespace without network is not permitted here (unshare -n)")
    house, target = tmp_path / "wheel house", tmp_path / "ènv"
    envcheck = [sys.executable, "-m", "envcheck"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "UV_CACHE_DIR": str(tmp_path / "cache")}

    def call(*argv: str) -> str:
        done = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    call(*envcheck, "bundle", "web", "ollama-client", "-o", str(house))
    shutil.rmtree(tmp_path / "cache")
    offline = ("install", "web", "ollama-client", "--target", str(target), "--yes", "--offline", "--wheelhouse")
    call(unshare, "-n", *envcheck, *offline, str(house))
    call(unshare, "-n", str(target / "bin" / "python"), "-I", "-c", "import fastapi, uvicorn, pydantic, ollama")
    names = {component["name"].lower() for component in json.loads((house / "sbom.cdx.json").read_text())["components"]}
    assert {"fastapi", "uvicorn", "pydantic", "ollama"} <= names
    assert len((house / "SHA256SUMS").read_text().splitlines()) == len(list(house.glob("*.whl")))
