"""Run the command line as a user does: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
Envcheck = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def envcheck(tmp_path: Path) -> Envcheck:
    """Call envcheck with these arguments; keyword `env` adds variables, `cwd` is a fresh folder by default."""

    def call(
        *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None, python: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        done = subprocess.run(
            [sys.executable, *python, "-m", "envcheck", *arguments],
            cwd=cwd or tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return call
