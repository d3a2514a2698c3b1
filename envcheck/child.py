"""Programs that live longer than one answer: an inference engine is started, talked to, and always stopped again.

`Host.run` is for programs that end by themselves. A `Child` gets a session of its own, so that everything it starts can
be ended with it, and its standard input stays open as a sign of life: our own worker scripts leave when it closes,
and Linux ends any child whose starter is gone, so that nothing stays behind even when envcheck itself is killed.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from envcheck.host import kill_tree, start
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.local_only import OFFLINE

STOP_LIMIT_S = 3.0
"""How long a stopped engine may take to be gone, in seconds; half of it is a polite request."""
LOG_TAIL = 16 * 1024
_QUIET = {"TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}


class Child:
    """A running program in its own session. Standard output arrives line by line with the time it was read."""

    def __init__(
        self, argv: list[str], env: dict[str, str], *, label: str, files: tuple[Path, ...] = (), talks: bool = True
    ) -> None:
        """Start `argv` with `env` and OFFLINE in an empty folder of its own, with copies of `files`.

        `talks` is False for a program whose standard output is no answer to us: then it goes to the log as well.

        Raises EnvcheckError where the system refuses to start it.
        """
        self.label = label
        self.folder = Path(tempfile.mkdtemp(prefix="envcheck-"))
        for file in files:
            shutil.copyfile(file, self.folder / file.name)
        self._log = self.folder / "engine.log"
        self._lines: queue.Queue[tuple[int, bytes] | None] = queue.Queue()
        try:
            with self._log.open("wb") as log:
                self._process = start(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE if talks else log,
                    stderr=log,
                    env={**env, **OFFLINE, **_QUIET},
                    cwd=self.folder,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,  # one system call that takes no lock
                )
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise EnvcheckError(f"{label} cannot be started: {error.strerror or error}.") from error
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = self._process.stdout
        if self._stdout is not None:
            threading.Thread(target=self._read, args=(self._stdout,), daemon=True).start()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the program itself."""
        return self._process.pid

    @property
    def ended(self) -> str | None:
        """How it ended, in words, or None while it runs. A kill by the system is named as such."""
        code = self._process.poll()
        if code is None:
            return None
        if code >= 0:
            return f"{self.label} ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = " (the system kills like this when memory runs out)" if name == "SIGKILL" else ""
        return f"{self.label} was ended by {name}{hint}"

    def wait_ended(self, limit_s: float) -> bool:
        """Whether it ends within the limit; a program whose output closed is often a moment from its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=limit_s)
        return self._process.returncode is not None

    def line(self, limit_s: float) -> tuple[int, bytes] | None:
        """The next line of standard output and when it came (monotonic ns); None at its end or at the limit."""
        try:
            return self._lines.get(timeout=max(limit_s, 0.0))
        except queue.Empty:
            return None

    def write(self, line: bytes) -> None:
        """Send one line. A program that is gone is noticed by what does not come back, so this never raises."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(line + b"\n")
            self._stdin.flush()

    def log(self, limit: int = LOG_TAIL) -> str:
        """The last `limit` bytes of its log: standard error, and standard output of a program that does not talk."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(self._log.stat().st_size - limit, 0))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def stop(self) -> None:
        """End it and everything it started, within STOP_LIMIT_S; safe to call twice."""
        family = descendants(self._process.pid)
        deadline = time.monotonic() + STOP_LIMIT_S / 2
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=max(deadline - time.monotonic(), 0.1))
        kill_tree(self._process)
        for process in family:
            with contextlib.suppress(Exception):
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=STOP_LIMIT_S / 2)
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, source: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in source:
                self._lines.put((time.monotonic_ns(), line))
        self._lines.put(None)


def _parent_death_call() -> Callable[[], object] | None:
    """On Linux, the call that asks the kernel to kill this process when the one that started it is gone (prctl(2)).

    Looked up before any fork: between fork and exec nothing may be imported or allocated in earnest.
    """
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


_PR_SET_PDEATHSIG = 1
_end_with_parent = _parent_death_call()


def descendants(pid: int) -> list[Any]:
    """The live processes that `pid` started, directly or not; empty when it is gone."""
    import psutil

    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def is_running(pid: int) -> bool:
    """Whether a process of that id exists and is more than a zombie."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
