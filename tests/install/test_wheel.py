"""The built wheel, in an empty environment elsewhere, finds its data and answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def call(*argv: str, cwd: Path, codes: tuple[int, ...] = (0,)) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in codes, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.packaging
def test_the_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    pip = ("-m", "pip", "--disable-pip-version-check", "--no-input")
    wheels, home = tmp_path / "wheels", tmp_path / "an empty environment"
    build = (*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT))
    call(sys.executable, *build, cwd=tmp_path)
    (wheel,) = wheels.glob("llm_envcheck-*.whl")
    venv.EnvBuilder(with_pip=True, symlinks=os.name != "nt").create(home)
    python = str(home / ("Scripts" if os.name == "nt" else "bin") / "python")
    call(python, *pip, "install", "--quiet", str(wheel), cwd=tmp_path)
    document = json.loads(
        call(python, "-m", "envcheck", "check", "--format", "json", "--no-ports", cwd=tmp_path, codes=(0, 1, 3))
    )
    assert set(document["backends"]) >= {"llama.cpp", "ollama", "transformers", "vllm"}
    assert document["verdicts"]
    assert str(ROOT) not in call(python, "-c", "import envcheck; print(envcheck.__file__)", cwd=tmp_path)
