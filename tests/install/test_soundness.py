"""What a finished environment is asked, and that it is heard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from envcheck.host import Host
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


CUDA = """
__version__ = "2.14.1+cu126"
class version: cuda, hip = "12.6", None
class cuda:
    OutOfMemoryError = MemoryError
    is_available = staticmethod(lambda: {count} > 0)
    device_count = staticmethod(lambda: {count})
    get_arch_list = staticmethod(lambda: ["sm_70", "sm_80", "compute_90"])
class Ones:
    def __matmul__(self, other): return self
    def sum(self): return self
    def item(self): return {total}
def ones(*shape, device): return Ones()
"""
METAL = """
__version__ = "2.15.0"
class version: cuda = hip = None
class cuda:
    OutOfMemoryError = MemoryError
    is_available = staticmethod(lambda: False)
class backends:
    class mps:
        is_built = staticmethod(lambda: True)
        is_available = staticmethod(lambda: False)
"""


@pytest.mark.parametrize(
    ("module", "decision", "says"),
    [
        ("__version__ = '2'\n", Decision(accelerator="cpu"), "torch did not say what it is"),
        (CUDA.format(count=1, total=4096.0), Decision(accelerator="cu126", kernels=("sm_70",)), ""),
        (CUDA.format(count=2, total=4096.0), Decision(accelerator="cu126", kernels=("sm_70", "sm_80")), ""),
        (CUDA.format(count=1, total=4096.0), Decision(accelerator="cu126", kernels=("sm_60",)), "and not for sm_60"),
        (CUDA.format(count=1, total=0.5), Decision(accelerator="cu126"), "a product on cuda:0 failed: the product of"),
        (CUDA.format(count=0, total=0), Decision(accelerator="cu126"), "shows no GPU, although one was found"),
        (CUDA.format(count=1, total=4096.0), Decision(accelerator="cpu"), "is a cu126 build, cpu was planned"),
        (METAL, Decision(accelerator="mps"), ""),
        (METAL, Decision(accelerator="cpu"), "is a mps build, cpu was planned"),
    ],
)
def test_the_torch_that_arrived_against_the_plan(
    world: World, python: Path, module: str, decision: Decision, says: str
) -> None:
    folder = next((python.parent.parent / "lib").rglob("alpha")).parent / "torch"
    folder.mkdir()
    (folder / "__init__.py").write_text(module)
    asked = Choice(requirements=(), torch_backend="cu126")
    host = Host(env={k: v for k, v in world.host.env.items() if not k.endswith("VISIBLE_DEVICES")}, limit_s=30.0)
    said = unsound(host, str(python), Decided(decision, asked), lambda _: None)
    assert (says in said[0]) if says else (said == []), said
