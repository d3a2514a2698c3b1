"""A wheelhouse of two states of a small world, locks for both, and profiles' receipts to install them with."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envcheck.host import Host
from envcheck.install.receipt import Receipt
from envcheck.install.transaction import Offline, wheelhouse_only
from envcheck.schema.recipe import Choice
from tests.install.wheels import wheel

OLD = {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
NEW = {"alpha": "2.0", "beta": "0.9", "delta": "1.0"}


class World:
    """Wheels on disk and how to ask for them."""

    def __init__(self, folder: Path, files: int = 3, write: bool = True) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        self.hashes: dict[tuple[str, str], str] = {}
        for state in (OLD, NEW):
            for name, version in state.items():
                path = self.wheels / f"{name}-{version}-py3-none-any.whl"
                if write:
                    wheel(self.wheels, name, version, files=files)
                self.hashes[name, version] = hashlib.sha256(path.read_bytes()).hexdigest()
        self.sources: Offline = wheelhouse_only(self.wheels)
        self.host = Host(limit_s=30.0)
        self.python = sys.executable

    def lock(self, state: dict[str, str]) -> Path:
        """A hashed requirements file of a state."""
        text = "".join(f"{n}=={v} --hash=sha256:{self.hashes[n, v]}\n" for n, v in state.items())
        path = self.folder / ("lock-" + "-".join(state.values()) + ".txt")
        path.write_text(text)
        return path

    def receipt(self, state: dict[str, str]) -> Receipt:
        """What a generation of that state was made from."""
        choice = Choice(requirements=tuple(f"{n}=={v}" for n, v in state.items()))
        return Receipt(profiles=("test",), python="3.11", choice=choice, packages=(), lock=self.lock(state).read_text())


@pytest.fixture(autouse=True)
def needs_uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real uv, with a cache of its own."""
    if shutil.which("uv") is None and not (Path(sys.executable).parent / "uv").is_file():
        pytest.skip("uv is not installed (extra `install`)")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def quiet() -> Callable[[str], None]:
    return lambda line: None
