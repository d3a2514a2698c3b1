"""RECORD against the disk, on environments broken on the spot."""

from __future__ import annotations

import base64
import csv
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.cli.verify import COMMAND
from envcheck.host import Host
from envcheck.probes import _compiled, _record
from envcheck.probes._distributions import Entry
from envcheck.schema.errors import InputError
from envcheck.verify import verify


def install(site: Path, name: str, version: str, files: dict[str, bytes], extra_lines: str = "") -> Path:
    """Put a distribution there as pip does: files, METADATA, RECORD with hashes and sizes."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n")
    files = files | {f"{info.name}/METADATA": (info / "METADATA").read_bytes()}
    lines = []
    for path, content in files.items():
        place = site / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        quoted = '"' + path.replace('"', '""') + '"' if set(path) & set(',"') else path
        lines.append(f"{quoted},sha256={digest},{len(content)}\n")
    (info / "RECORD").write_text("".join(lines) + f"{info.name}/RECORD,,\n" + extra_lines)
    return info


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    install(folder, "torch", "2.10.0", {"torch/__init__.py": b"import os\n", "torch/lib/libc10.so": b"x" * 500})
    install(folder, "rich", "15.0.0", {"rich/__init__.py": b"", "rich/a, b.py": b"1", 'rich/"q".py': b"2"})
    return folder


def found(site: Path, hashes: bool = False) -> dict[tuple[str, str], int]:
    outcome = _record.inspect(Host(env={}), (str(site),), hashes)
    return {(each.package, each.kind): each.count for each in outcome.damage}


def test_a_whole_environment_has_no_damage(site: Path) -> None:
    outcome = _record.inspect(Host(env={}), (str(site),), hashes=True)
    assert outcome.damage == ()
    assert outcome.packages == 2
    assert outcome.files == 9
    assert outcome.hashed_bytes > 500


def test_deleted_files_are_missing(site: Path) -> None:
    (site / "torch/lib/libc10.so").unlink()
    assert found(site) == {("torch", "missing"): 1}


def test_a_deleted_folder_is_missing_file_by_file(site: Path) -> None:
    shutil.rmtree(site / "rich")
    assert found(site) == {("rich", "missing"): 3}


def test_a_shorter_file_is_truncated(site: Path) -> None:
    (site / "torch/lib/libc10.so").write_bytes(b"x" * 100)
    assert found(site) == {("torch", "truncated"): 1}


def test_a_longer_file_is_changed(site: Path) -> None:
    (site / "torch/__init__.py").write_bytes(b"import os, sys\n")
    assert found(site) == {("torch", "changed"): 1}


def test_other_content_of_the_same_size_needs_hashes(site: Path) -> None:
    (site / "torch/__init__.py").write_bytes(b"import re\n")
    assert found(site) == {}
    assert found(site, hashes=True) == {("torch", "changed"): 1}


def test_byte_code_may_come_and_go(site: Path) -> None:
    record = site / "rich-15.0.0.dist-info/RECORD"
    record.write_text(record.read_text() + "rich/__pycache__/x.cpython-312.pyc,,\n")
    assert found(site) == {}
    (site / "rich/__pycache__").mkdir()
    (site / "rich/__pycache__/y.cpython-312.pyc").write_bytes(b"1")
    assert found(site) == {}


def test_files_of_nobody_are_foreign(site: Path) -> None:
    (site / "torch/left_over.so").write_bytes(b"1")
    (site / "orphan").mkdir()
    (site / "orphan/x.py").write_bytes(b"1")
    (site / "~orch").mkdir()
    (site / "distutils-precedence.pth").write_bytes(b"1")
    assert found(site) == {("torch", "foreign"): 1, ("", "foreign"): 2}


def test_two_metadata_folders_of_one_package(site: Path) -> None:
    install(site, "Torch", "2.9.1", {})
    assert found(site)[("torch", "duplicate")] == 2


def test_no_record_and_broken_metadata(site: Path) -> None:
    (site / "torch-2.10.0.dist-info/RECORD").unlink()
    (site / "rich-15.0.0.dist-info/METADATA").write_bytes(b"\xff\xfe\x00")
    damage = found(site)
    assert damage[("torch", "no_record")] == 1
    assert damage[("rich", "broken_metadata")] == 1


def test_scripts_outside_site_packages(site: Path) -> None:
    script = site.parent.parent.parent / "bin" / "tool"
    script.parent.mkdir()
    script.write_bytes(b"12345")
    record = site / "rich-15.0.0.dist-info/RECORD"
    record.write_text(record.read_text() + "../../../bin/tool,,5\n../../../bin/gone,,5\n")
    assert found(site) == {("rich", "missing"): 1}


def test_a_path_that_leaves_the_environment_is_not_followed(site: Path) -> None:
    record = site / "rich-15.0.0.dist-info/RECORD"
    record.write_text(record.read_text() + "../../../../../../etc/passwd,sha256=AAAA,1\n/etc/passwd,sha256=AAAA,1\n")
    assert found(site, hashes=True) == {}


def test_an_editable_install_has_only_its_pointer(site: Path) -> None:
    info = install(site, "mine", "0.1", {"__editable__.mine-0.1.pth": b"/src\n"})
    (info / "direct_url.json").write_text('{"url": "file:///src", "dir_info": {"editable": true}}')
    assert found(site, hashes=True) == {}


@settings(max_examples=100, deadline=None)
@given(content=st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_any_record_is_read_or_broken(content: str) -> None:
    try:
        lines = _record.lines_of(content, "/venv/lib/python3.12/site-packages")
    except csv.Error:
        return
    assert all(line.folder.startswith("/") for line in lines)


def test_an_extension_built_for_numpy_1_under_numpy_2(site: Path, tmp_path: Path) -> None:
    install(site, "numpy", "2.4.6", {"numpy/__init__.py": b""})
    old = b"\x7fELF...numpy.core._multiarray_umath\x00..."
    new = b"\x7fELF...numpy._core._multiarray_umath\x00numpy.core._multiarray_umath\x00"
    install(site, "oldext", "1.0", {"oldext/_c.cpython-312-x86_64-linux-gnu.so": old})
    install(site, "newext", "1.0", {"newext/_c.cpython-312-x86_64-linux-gnu.so": new})
    assert found(site) == {("oldext", "built_for_numpy_1"): 1}


def test_a_real_extension_shows_what_it_needs(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: no extension can be built")
    libraries = tmp_path / "lib"
    package = tmp_path / "site" / "torchvision"
    libraries.mkdir()
    package.mkdir(parents=True)
    (tmp_path / "cuda.c").write_text("int cudaSomething(void) { return 0; }\n")
    (tmp_path / "ext.c").write_text(
        "#include <stdlib.h>\nint cudaSomething(void);\nint f(void) { return cudaSomething() + abs(rand()); }\n"
    )
    fake = libraries / "libcudart.so.13"
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-Wl,-soname,{fake.name}", "-o", fake, tmp_path / "cuda.c"], check=True
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", package / "_C.so", tmp_path / "ext.c", fake], check=True)
    entry = Entry(name="torchvision", version="0.28.0", folder="")
    asked = _compiled.needs(Host(env={}), str(tmp_path / "site"), entry)
    assert asked["needed"] == ["libcudart.so.13"]
    assert asked["glibc"].startswith("2.")


def test_the_verb(site: Path) -> None:
    root = site.parent.parent.parent
    (root / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.3\n")
    python = root / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    whole = CliRunner().invoke(COMMAND, ["--python", str(python)], standalone_mode=False)
    assert whole.return_value == 0
    assert "none damaged" in whole.output
    (site / "torch/lib/libc10.so").unlink()
    broken = CliRunner().invoke(COMMAND, ["--python", str(python)], standalone_mode=False)
    assert broken.return_value == 1
    assert "torch: 1 file is missing (torch/lib/libc10.so)" in broken.output
    assert "--force-reinstall --no-deps torch==2.10.0" in broken.output
    (site / "torch/extra.py").write_text("")
    json_form = CliRunner().invoke(COMMAND, ["--python", str(python), "--format", "json"], standalone_mode=False)
    assert '"kind":"foreign"' in json_form.output


def test_no_environment_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--python"):
        verify(Host(target_python=str(tmp_path / "bin" / "python"), level=0))
