"""Two wheelhouses of one profile in different versions, and environments that hold the older: for the command line."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from envcheck.install import bundle
from envcheck.install.layout import Layout
from envcheck.install.receipt import Receipt
from envcheck.schema.recipe import Choice
from tests.install.wheels import tree, wheel

ROOT = Path(__file__).resolve().parent.parent.parent
UV = str(Path(sys.executable).parent / "uv")
PROFILE = "web"
STATES = {
    "old": {"fastapi": "0.200.0", "uvicorn": "0.60.0", "pydantic": "2.40.0"},
    "new": {"fastapi": "0.300.0", "uvicorn": "0.50.0", "pydantic": "2.50.0", "starlette": "1.0"},
}
"""Two packages go up, one goes down, one comes in."""


class Houses:
    """A wheelhouse of each state, an environment of each kind that holds the old one, and the command."""

    def __init__(self, folder: Path, files: int) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "UV_CACHE_DIR": str(folder / "uv-cache"),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS", "VIRTUAL_ENV"):
            self.env.pop(name, None)
        for state, packages in STATES.items():
            house = self.house(state)
            lines = []
            for name, version in packages.items():
                needs = ("starlette",) if (state, name) == ("new", "fastapi") else ()
                path = wheel(house, name, version, requires=needs, files=files)
                lines.append(f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n")
            python = f"{sys.version_info.major}.{sys.version_info.minor}"
            receipt = Receipt(
                profiles=(PROFILE,), python=python, choice=Choice(requirements=()), packages=(), lock="".join(lines)
            )
            (house / bundle.MANIFEST).write_bytes(msgspec.json.encode(bundle.Manifest(platform="", receipt=receipt)))
        self.finish(*self.install(self.template(False), "old", False))
        self._users_environment(self.template(True))

    def house(self, state: str) -> Path:
        """The wheelhouse of a state."""
        return self.folder / f"house-{state}"

    def template(self, in_place: bool) -> Path:
        """The environment that `copy` copies."""
        return self.folder / ("users" if in_place else "managed")

    def _users_environment(self, root: Path) -> None:
        """An environment that envcheck has nothing to do with, holding the old state."""
        wheels = [str(path) for path in sorted(self.house("old").glob("*.whl"))]
        arguments = ("-q", "--no-deps", "--offline", "--no-index", "--python", str(root / "bin" / "python"))
        for argv in (
            ("venv", "-q", "--relocatable", "--python", sys.executable, str(root)),
            ("pip", "install", *arguments, *wheels),
        ):
            subprocess.run([UV, *argv], env=self.env, check=True)

    def copy(self, root: Path, in_place: bool) -> None:
        """An environment of its own that holds the old state."""
        shutil.copytree(self.template(in_place), root, symlinks=True)

    def install(self, root: Path, state: str, in_place: bool) -> list[str]:
        """The command that brings an environment to a state."""
        place = ["--python", str(root / "bin" / "python")] if in_place else ["--target", str(root)]
        source = ["--offline", "--wheelhouse", str(self.house(state))]
        return [sys.executable, "-m", "envcheck", "install", PROFILE, *place, "--upgrade", "--yes", *source]

    def rollback(self, root: Path, in_place: bool) -> list[str]:
        """The command that takes the last installation back."""
        place = ["--python", str(root / "bin" / "python")] if in_place else ["--target", str(root)]
        return [sys.executable, "-m", "envcheck", "rollback", *place]

    def finish(self, *argv: str, codes: tuple[int, ...] = (0,)) -> None:
        """Run a command to its end."""
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode not in codes:
            raise AssertionError(f"{argv[3:5]} ended with {done.returncode}: {done.stdout[-600:]} {done.stderr[-600:]}")

    def start(self, *argv: str, heard: bool = False) -> subprocess.Popen[str]:
        """Start a command in a process group of its own; `heard` gives its standard error."""
        errors = subprocess.PIPE if heard else subprocess.DEVNULL
        return subprocess.Popen(
            argv, env=self.env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=errors, text=True
        )

    def clean(self, in_place: bool) -> dict[str, dict[str, str]]:
        """Every file of the old and of the new state, reached by installations that nobody disturbs."""
        found = {"old": installed(self.template(in_place), in_place)}
        root = self.folder / f"clean-{in_place}"
        self.copy(root, in_place)
        self.finish(*self.install(root, "new", in_place))
        return {**found, "new": installed(root, in_place)}


def installed(root: Path, in_place: bool) -> dict[str, str]:
    """Every installed file of an environment and its hash."""
    number = Layout(root).current_number()
    base = root if in_place else Layout(root).folder(number) if number is not None else root / "none"
    found = tree(base / "lib") if base.exists() else {}
    return {path: digest for path, digest in found.items() if not path.startswith(".envcheck")}
