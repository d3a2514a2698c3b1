"""The rules of the house that a machine can check: import directions, types, style, and what a verb may load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_point_one_way() -> None:
    done = run("-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))")
    assert done.returncode == 0, done.stdout


def test_types_are_strict() -> None:
    done = run("-m", "mypy", "--no-incremental", "--cache-dir=/dev/null")
    assert done.returncode == 0, done.stdout


def test_style() -> None:
    done = run("-m", "ruff", "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout


HEAVY = [
    "torch",
    "docker",
    "jinja2",
    "httpx",
    "transformers",
    "rich",
    "numpy",
    "asyncio",
    "psutil",
    "requests",
    "cpuinfo",
]


@pytest.mark.parametrize(
    "call",
    [
        "import envcheck",
        "from envcheck.cli import group; group(['check', '--format', 'json'], standalone_mode=False)",
        "from envcheck.cli import group; group(['snapshot'], standalone_mode=False)",
    ],
)
def test_fast_paths_load_nothing_heavy(call: str) -> None:
    done = run("-c", f"import sys\n{call}\nprint('\\nLOADED', sorted(set(sys.modules) & set({HEAVY!r})))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"
