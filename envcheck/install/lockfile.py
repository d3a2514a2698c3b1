"""One installation at a time per environment. The system releases the lock when its holder dies."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from envcheck.schema.errors import EnvcheckError

_LOCKED_BYTE = 1 << 30


@contextlib.contextmanager
def exclusive(path: Path, wait_s: float, progress: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock, waiting up to `wait_s` for another installation; then say who has it.

    Gives the open file of the lock: a child that keeps it open holds the lock, too, until it ends.
    """
    with path.open("a+b") as file:
        deadline = time.monotonic() + wait_s
        told = False
        while not _try_lock(file.fileno()):
            file.seek(0)
            holder = file.read(32).decode("ascii", "replace").strip() or "unknown"
            if time.monotonic() >= deadline:
                raise EnvcheckError(
                    f"Another installation (process {holder}) works on {path.parent.parent}: try again later."
                )
            if not told:
                progress(f"waiting for another installation (process {holder})")
                told = True
            time.sleep(0.2)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()).encode())
        file.flush()
        yield file.fileno()


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return _try_lock_windows(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _try_lock_windows(descriptor: int) -> bool:
    import importlib

    msvcrt = importlib.import_module("msvcrt")
    # Bytes are locked from where the file stands. One far behind the end is the same for everybody, and leaves the
    # holder's number readable: on Windows what is locked cannot be read.
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
