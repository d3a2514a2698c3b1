"""The bootstrap: an old Python gets a sentence, steps are done once, failures say what to do."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ENTRY = ROOT / "install" / "bootstrap.py"


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(ENTRY.parent))
    import _bootstrap

    monkeypatch.setattr(_bootstrap, "VENV", tmp_path)
    return _bootstrap


def test_an_old_python_gets_one_sentence() -> None:
    source = ENTRY.read_text().replace(
        "import os\nimport sys\n", "import os\nimport sys\nsys.version_info = (3, 10, 12)\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs Python 3.11 or newer; this is Python 3.10" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_entry_point_parses_on_old_pythons() -> None:
    tree = ast.parse(ENTRY.read_text())
    modern = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.AsyncFunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, modern)]


def test_standard_library_alone() -> None:
    for file in (ENTRY, ENTRY.with_name("_bootstrap.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert all(name.split(".")[0] in {*sys.stdlib_module_names, "_bootstrap"} for name in names)


def test_a_step_is_done_once_and_again_when_its_inputs_change(bootstrap: ModuleType, tmp_path: Path) -> None:
    lock, log = tmp_path / "a.lock", tmp_path / "log"
    lock.write_text("one")
    step = [sys.executable, "-c", f"open({str(log)!r}, 'a').write('x')"]
    for _ in range(2):
        bootstrap.once("a", [lock], "doing a", [step], "a failed")
    assert log.read_text() == "x"
    lock.write_text("two")
    bootstrap.once("a", [lock], "doing a", [step], "a failed")
    assert log.read_text() == "xx"


def test_a_failed_step_is_not_marked_as_done(bootstrap: ModuleType, tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text("one")
    with pytest.raises(bootstrap.StepError, match="a failed"):
        bootstrap.once("a", [lock], "doing a", [[sys.executable, "-c", "raise SystemExit(3)"]], "a failed")
    assert not (tmp_path / ".bootstrap-a").exists()


def test_an_unknown_verb_is_a_usage_error(bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["dance"]) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["bootstrap.lock", "bootstrap-test.lock", "weights.lock"])
def test_every_locked_package_has_a_hash(name: str) -> None:
    text = (ROOT / "install" / name).read_text()
    requirements = [line for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert requirements
    assert all("==" in line for line in requirements)
    assert text.count("--hash=sha256:") >= len(requirements)
    assert "://" not in text
