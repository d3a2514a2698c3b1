"""What was found sound is not looked at twice, and anything that is not the very same files is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envcheck.host import Host
from envcheck.install import proven
from tests.install.conftest import OLD, World

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no key, and nothing is left out")


def made(world: World, root: Path) -> Path:
    """An environment with the old state, linked out of uv's cache."""
    uv = str(Path(sys.executable).parent / "uv")
    python = root / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--relocatable", "--python", sys.executable, str(root)], check=True)
    install = [uv, "pip", "sync", "-q", "--link-mode", "hardlink", "--python", str(python), *world.sources]
    subprocess.run([*install, str(world.lock(OLD))], check=True)
    return python


@pytest.fixture
def host(world: World, tmp_path: Path) -> Host:
    if not Path("/etc/ld.so.cache").exists():
        pytest.skip("this system keeps no list of its shared libraries, so there is no key")
    return Host(env={**world.host.env, "XDG_CACHE_HOME": str(tmp_path / "kept")})


def module(python: Path) -> Path:
    return next((python.parent.parent / "lib").rglob("alpha/__init__.py"))


def test_the_same_files_elsewhere_have_the_same_key(world: World, host: Host, tmp_path: Path) -> None:
    one, other = made(world, tmp_path / "one"), made(world, tmp_path / "other place")
    key = proven.key_of(host, str(one), ["alpha"])
    assert key is not None
    assert proven.key_of(host, str(other), ["alpha"]) == key
    assert proven.key_of(host, str(other), ["beta"]) != key
    subprocess.run([str(one), "-I", "-c", "import alpha, beta"], check=True)
    assert proven.key_of(host, str(one), ["alpha"]) == key, "byte code does not count"
    assert proven.when(host, key) is None
    proven.remember(host, key)
    ago = proven.when(host, key)
    assert ago is not None
    assert ago < 3600


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace("2", "3").replace("1", "2"))


def rewritten_as_it_was(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content)


def touched_inside_the_size(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"#")


def replaced_by_a_copy(path: Path) -> None:
    shutil.copy2(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def removed(path: Path) -> None:
    path.unlink()


def joined_by_another(path: Path) -> None:
    (path.parent / "more.py").write_text("")


@pytest.mark.parametrize(
    "change", [edited, rewritten_as_it_was, touched_inside_the_size, replaced_by_a_copy, removed, joined_by_another]
)
def test_any_change_of_a_file_is_another_key(
    world: World, host: Host, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    python = made(world, tmp_path / "env")
    before = proven.key_of(host, str(python), ["alpha"])
    os.utime(module(python), ns=(1, 1))
    aged = proven.key_of(host, str(python), ["alpha"])
    change(module(python))
    after = proven.key_of(host, str(python), ["alpha"])
    assert len({before, aged, after}) == 3


def test_no_key_where_nothing_is_shared(
    world: World, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = made(world, tmp_path / "env")
    monkeypatch.setattr(proven, "_OWN_FILES", 3)
    assert proven.key_of(host, str(python), []) is None
    assert proven.key_of(host, str(tmp_path / "nothing" / "bin" / "python"), []) is None


def test_no_key_where_the_boot_is_not_known(world: World, tmp_path: Path) -> None:
    python = made(world, tmp_path / "env")
    assert proven.key_of(Host(root=tmp_path, env={}), str(python), []) is None


def test_a_proof_wears_out_and_needs_a_place(host: Host, tmp_path: Path) -> None:
    proven.remember(host, "k" * 64)
    kept = tmp_path / "kept" / "envcheck" / "proven" / ("k" * 64)
    os.utime(kept, (1, 1))
    assert proven.when(host, "k" * 64) is None
    proven.remember(host, "l" * 64)
    assert not kept.exists(), "what has worn out is thrown away"
    homeless = Host(env={})
    proven.remember(homeless, "m" * 64)
    assert proven.when(homeless, "m" * 64) is None
