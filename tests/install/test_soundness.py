"""What a finished environment is asked, and that it is heard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from envcheck.install.soundness import unsound
from envcheck.judge.decide import Decided
from envcheck.schema.plan import Decision
from envcheck.schema.recipe import Choice
from tests.install.conftest import OLD, World
from tests.install.wheels import wheel


@pytest.fixture
def python(world: World, tmp_path: Path) -> Path:
    """The interpreter of an environment with the old state."""
    uv, root = str(Path(sys.executable).parent / "uv"), tmp_path / "env"
    wheel(world.wheels, "needy", "1.0", requires=("absent>=2",))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(root)], check=True)
    install = [uv, "pip", "install", "-q", "--link-mode", "copy", "--python", str(root / "bin" / "python")]
    subprocess.run([*install, *world.sources, "-r", str(world.lock(OLD))], check=True)
    return root / "bin" / "python"


def wrong(world: World, python: Path, *imports: str, **choice: object) -> list[str]:
    asked = Choice(requirements=(), imports=imports, **choice)  # type: ignore[arg-type]
    return unsound(world.host, str(python), Decided(Decision(accelerator="cpu"), asked), lambda _: None)


def test_a_sound_environment(world: World, python: Path) -> None:
    assert wrong(world, python, *OLD) == []


def test_every_package_that_does_not_import_is_named_by_some_child(world: World, python: Path) -> None:
    broken = next((python.parent.parent / "lib").rglob("beta/__init__.py"))
    broken.write_text("import nowhere_to_be_found\n")
    assert wrong(world, python, *OLD) == [
        "a package does not import: beta: ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    ]


def test_a_package_that_ends_the_interpreter_is_not_taken_for_sound(world: World, python: Path) -> None:
    next((python.parent.parent / "lib").rglob("alpha/__init__.py")).write_text("import os\nos.abort()\n")
    (said,) = wrong(world, python, *OLD)
    assert said.startswith("a package does not import")


def test_missing_requirements_are_heard_unless_left_out_on_purpose(world: World, python: Path) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    install = [uv, "pip", "install", "-q", "--no-deps", "--python", str(python), *world.sources, "needy"]
    subprocess.run(install, check=True)
    (said,) = wrong(world, python)
    assert "needy" in said
    assert "absent" in said
    assert wrong(world, python, without_dependencies=("needy==1.0 --hash=sha256:0",)) == []


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("__version__ = '2'\n", "torch did not say what it is"),
        (
            "__version__ = '2+cu130'\nclass version: cuda, hip = '13.0', None\n"
            "class cuda:\n    is_available = staticmethod(lambda: False)\n    OutOfMemoryError = MemoryError\n",
            "torch 2+cu130 is a cu130 build, cpu was planned",
        ),
    ],
)
def test_another_torch_than_planned(world: World, python: Path, module: str, says: str) -> None:
    folder = next((python.parent.parent / "lib").rglob("alpha")).parent / "torch"
    folder.mkdir()
    (folder / "__init__.py").write_text(module)
    (said,) = wrong(world, python, torch_backend="cpu")
    assert said.startswith(says)
