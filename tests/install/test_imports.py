"""Imports are proven one by one, whatever a package does to the interpreter that imports it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from envcheck.host import Host
from envcheck.install import imports
from envcheck.install._import_child import absolute, imported
from envcheck.install.imports import LIMIT_S, Imports

CHILD = Path(imports.__file__).with_name("_import_child.py")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment without packages."""
    root = tmp_path_factory.mktemp("imports") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    return root / "bin" / "python"


def put(python: Path, **modules: str) -> list[str]:
    """Write modules into the environment, packages by their name alone; the names."""
    (packages,) = (python.parent.parent / "lib").glob("python3*/site-packages")
    for name, source in modules.items():
        (packages / name).mkdir(exist_ok=True)
        (packages / name / "__init__.py").write_text(source)
    return list(modules)


def broken(python: Path, names: list[str], limit_s: float = LIMIT_S) -> tuple[list[str], list[str]]:
    said: list[str] = []
    return Imports(Host(), str(python), names, said.append, limit_s).broken(), said


@pytest.mark.parametrize("processors", [1, 2, 8])
def test_each_is_imported_once_and_said(python: Path, monkeypatch: pytest.MonkeyPatch, processors: int) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    names = put(python, **{f"sound{n}": "print('begun other')\nprint('broken')\n" for n in range(5)})
    found, said = broken(python, names)
    assert found == []
    assert sorted(line.split()[1] for line in said) == names
    assert [line.split(" ", 2)[2] for line in said] == [f"({n} of 5)" for n in range(1, 6)]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("def", "SyntaxError: invalid syntax"),
        ("import os\nos.abort()", "the interpreter was ended by SIGABRT"),
        ("import os\nos._exit(0)", "the interpreter ended with exit code 0"),
        ("import os, sys\nsys.stderr.write('no such driver\\n')\nos._exit(7)", "exit code 7: no such driver"),
    ],
)
@pytest.mark.parametrize("processors", [1, 2])
def test_the_broken_one_is_named_and_the_others_are_tried(
    python: Path, monkeypatch: pytest.MonkeyPatch, processors: int, source: str, why: str
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    names = put(python, first="", bad=source, middle="", last="")
    found, said = broken(python, names)
    assert len(found) == 1
    assert found[0].startswith("a package does not import: bad: ")
    assert why in found[0]
    assert sorted(line.split()[1] for line in said) == sorted(names)


def test_a_crash_after_an_import_counts(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    late = "import os, threading\nthreading.Timer(0.01, os.abort).start()\n"
    (found,) = broken(python, put(python, late=late, after="import time\ntime.sleep(60)\n"))[0]
    assert "ended by SIGABRT" in found


def test_a_hang_costs_its_limit(python: Path) -> None:
    found, _ = broken(python, put(python, hangs="import time\nwhile True: time.sleep(1)\n"), 2.0)
    assert found == ["a package does not import: hangs: it took longer than 2 s"]


def test_no_interpreter_is_said(python: Path) -> None:
    (found,) = Imports(Host(), sys.executable, ["module_that_nobody_has"], lambda _: None).broken()
    assert "ModuleNotFoundError" in found


def test_who_interrupts_does_not_wait_for_imports(python: Path) -> None:
    begun = threading.Event()
    names = put(python, endless="import time\nwhile True: time.sleep(1)\n", other="import time\ntime.sleep(600)\n")
    running = Imports(Host(), str(python), names, lambda _: begun.set())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(running.broken)
        assert begun.wait(60)
        running.stop()
        assert len(answer.result(60)) == 2


SOURCE = b'''"""import nothing"""
import os, sys as system  # import that
import a.b.c
from . import one, two as second
from .x.y import (
    three,
    four as fourth,
)
from .. import up
try:
    import perhaps
except ImportError:
    pass
def later():
    import much_later
from p import *
'''


@pytest.mark.parametrize(
    ("module", "is_package", "relative"),
    [
        ("top.sub", True, ["top", "top.sub", "top.sub.one", "top.sub.two", "top.sub.x", "top.sub.x.y", "top.up"]),
        ("top.sub.mod", False, ["top", "top.sub", "top.sub.one", "top.sub.two", "top.sub.x", "top.sub.x.y", "top.up"]),
    ],
)
def test_what_a_module_imports(module: str, is_package: bool, relative: list[str]) -> None:
    found = set(imported(SOURCE, module, is_package))
    assert found >= {"os", "sys", "a", "a.b", "a.b.c", "perhaps", "p", *relative}
    assert not any(name.startswith(("much_later", "nothing", "that")) or "fourth" in name for name in found)


def test_names_that_relative_imports_mean() -> None:
    assert absolute("plain.name", "a.b", True) == "plain.name"
    assert absolute(".", "a.b", True) == "a.b"
    assert absolute(".", "a.b", False) == "a"
    assert absolute("..c", "a.b", True) == "a.c"


def test_byte_code_is_left_for_what_an_import_needs(python: Path, tmp_path: Path) -> None:
    """A child that only compiles ahead leaves what Python finds and uses, and nothing of what is not imported."""
    put(python, ahead="from . import near\nimport neighbour\n\ndef f():\n    import unused\n", neighbour="", unused="")
    (packages,) = (python.parent.parent / "lib").glob("python3*/site-packages")
    (packages / "ahead" / "near.py").write_text("from space.inner import leaf\n")
    (packages / "space" / "inner").mkdir(parents=True)
    (packages / "space" / "inner" / "leaf.py").write_text("def broken(:\n")
    (packages / "space" / "inner" / "__init__.py").write_text("x = 1\n")
    argv = [str(python), "-I", str(CHILD), str(tmp_path), "ahead-back", "ahead"]
    alive, end = os.pipe()
    done = subprocess.run(argv, stdin=alive, capture_output=True, text=True, check=True)
    os.close(alive)
    os.close(end)
    assert done.stdout.split() == ["through", "end"]
    compiled = {path.parent.parent.name + "/" + path.name.partition(".")[0] for path in packages.rglob("*.pyc")}
    assert compiled >= {"ahead/__init__", "ahead/near", "neighbour/__init__", "inner/__init__"}
    assert not compiled & {"unused/__init__", "inner/leaf"}


def test_children_leave_with_who_started_them(python: Path, tmp_path: Path) -> None:
    put(python, endless="import time\nwhile True: time.sleep(1)\n")
    argv = [str(python), "-I", str(CHILD), str(tmp_path), "front", "endless"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "begun endless\n"
    process.stdin.close()
    assert process.wait(60) == 3
    process.stdout.close()
