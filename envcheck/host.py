"""The only module that runs programs or reads the machine's files.

Everything that looks at the world goes through a `Host`, whose root folder, environment and target interpreter can be
replaced: a captured `/proc` and `/sys` tree or a folder of stub programs stands in for a machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from envcheck.schema.facts import Record

READ_LIMIT = 4 * 1024 * 1024
OUTPUT_LIMIT = 16 * 1024 * 1024


class Completed(Record):
    """How a program ended. `failure` is "" when it ran to its end, else "missing", "timeout" or the system's words."""

    argv: tuple[str, ...]
    code: int = 0
    out: str = ""
    err: str = ""
    failure: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """It ran to its end and returned 0."""
        return not self.failure and self.code == 0


class Host:
    """One machine to look at. `root` is prepended to every absolute path that is read."""

    def __init__(
        self,
        root: Path = Path("/"),
        env: dict[str, str] | None = None,
        target_python: str | None = None,
        limit_s: float = 2.0,
        level: int = 1,
        ports: bool = True,
    ) -> None:
        """`limit_s` bounds one program; `level` is how deep to look (0 files only, 1 programs and NVML, 2 the target
        interpreter imports torch, 3 a small kernel per GPU); `ports` allows connections to loopback services."""
        self.root = root
        self.env = dict(os.environ) if env is None else env
        self.limit_s = limit_s
        self.level = level
        self.ports = ports
        self._target_python = target_python

    @property
    def is_real(self) -> bool:
        """False when a captured tree stands in for the machine: then nothing of this machine may be asked instead."""
        return self.root == Path("/")

    @property
    def target_python(self) -> str:
        """The interpreter of the target environment: the one asked for, the active environment's, or `python3`."""
        if self._target_python:
            return self._target_python
        for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
            prefix = self.env.get(variable)
            if prefix:
                folder, program = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
                candidate = Path(prefix) / folder / program
                if candidate.exists():
                    return str(candidate)
        return self.which("python3") or self.which("python") or sys.executable

    def path(self, path: str | Path) -> Path:
        """Where `path` of the machine really lies."""
        return self.root / str(path).lstrip("/") if not self.is_real else Path(path)

    def read(self, path: str | Path, limit: int = READ_LIMIT) -> str | None:
        """The text of a file (at most `limit` bytes, undecodable bytes replaced), or None where it cannot be read."""
        try:
            with self.path(path).open("rb") as file:
                return file.read(limit).decode("utf-8", "replace")
        except (OSError, ValueError):
            return None

    def exists(self, path: str | Path) -> bool:
        """Whether the path is there (a path that may not be looked at counts as not there)."""
        try:
            return self.path(path).exists()
        except (OSError, ValueError):
            return False

    def glob(self, pattern: str) -> list[str]:
        """Paths of the machine that match, sorted, as the machine itself would name them."""
        try:
            found = sorted(self.root.glob(pattern.lstrip("/")))
        except (OSError, ValueError):
            return []
        return [str(p) if self.is_real else "/" + str(p.relative_to(self.root)) for p in found]

    def which(self, program: str) -> str | None:
        """Where PATH finds a program."""
        return shutil.which(program, path=self.env.get("PATH", ""))

    def run(self, argv: list[str], timeout: float | None = None, env: dict[str, str] | None = None) -> Completed:
        """Run a program to its end or kill it with all its children at the limit (seconds; default `limit_s`)."""
        limit = self.limit_s if timeout is None else timeout
        started = time.monotonic()
        program = argv[0] if os.path.isabs(argv[0]) else self.which(argv[0])  # noqa: PTH117  a string, not a path of ours
        if program is None:
            return Completed(argv=tuple(argv), code=127, failure="missing")
        try:
            process = subprocess.Popen(
                [program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.env if env is None else {**self.env, **env},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Completed(argv=tuple(argv), code=126, failure=str(getattr(error, "strerror", None) or error))
        failure = ""
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            failure = "timeout"
            kill_tree(process)
            out, err = _drain(process)
        except BaseException:
            kill_tree(process)
            raise
        return Completed(
            argv=tuple(argv),
            code=process.returncode if process.returncode is not None else -signal.SIGKILL,
            out=out[:OUTPUT_LIMIT].decode("utf-8", "replace"),
            err=err[:OUTPUT_LIMIT].decode("utf-8", "replace"),
            failure=failure,
            seconds=time.monotonic() - started,
        )


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a child started in its own session together with everything it started."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        process.kill()


def _drain(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What a killed child had written. A child stuck in the kernel cannot be reaped, so this waits only briefly."""
    try:
        return process.communicate(timeout=0.5)
    except subprocess.TimeoutExpired:
        return b"", b""
