"""The only module that runs programs or reads the machine's files.

Everything that looks at the world goes through a `Host`, whose root folder, environment and target interpreter can be
replaced: a captured `/proc` and `/sys` tree or a folder of stub programs stands in for a machine.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcheck.schema.facts import Record

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

# `subprocess`, `signal` and `socket` are imported where they are used: together they cost as much as starting Python.

READ_LIMIT = 4 * 1024 * 1024
PORT_LIMIT_S = 0.3
READ_CHUNK = 256 * 1024
OUTPUT_LIMIT = 16 * 1024 * 1024
_READ_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


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
        self.is_real = root == Path("/")
        """False when a captured tree stands in for the machine: then nothing of this machine may be asked instead."""
        self._prefix = str(root).rstrip("/")
        self.env = dict(os.environ) if env is None else env
        self.limit_s = limit_s
        self.level = level
        self.ports = ports
        self._target_python = target_python

    @property
    def platform(self) -> str:
        """`sys.platform` of the machine looked at ("linux", "darwin", "win32"); captured trees are Linux."""
        return str(sys.platform) if self.is_real else "linux"

    @property
    def target_python(self) -> str:
        """The interpreter of the target environment: the one asked for, the active environment's, or `python3`."""
        if self._target_python:
            return self._target_python
        for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
            prefix = self.env.get(variable)
            if prefix:
                folder, program = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
                candidate = str(Path(prefix) / folder / program)
                if self.exists(candidate):
                    return candidate
        return self.which("python3") or self.which("python") or sys.executable

    def path(self, path: str | Path) -> Path:
        """Where `path` of the machine really lies."""
        return Path(self._at(path))

    def _at(self, path: str | Path) -> str:
        """`path` as text: building a Path for each of a thousand looks costs more than the looks."""
        return str(path) if self.is_real else f"{self._prefix}/{str(path).lstrip('/')}"

    def read(self, path: str | Path, limit: int = READ_LIMIT) -> str | None:
        """The text of a file (at most `limit` bytes, undecodable bytes replaced), or None where it cannot be read."""
        content = self.read_bytes(path, limit)
        return None if content is None else content.decode("utf-8", "replace")

    def read_bytes(self, path: str | Path, limit: int = READ_LIMIT, start: int = 0) -> bytes | None:
        """At most `limit` bytes of a file from `start` on, or None where it cannot be read.

        Only regular files and what `/proc` and `/sys` offer as such: a pipe or a device could block for ever.
        """
        try:
            descriptor = os.open(self._at(path), os.O_RDONLY | _READ_FLAGS)
        except (OSError, ValueError):
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            if start:
                os.lseek(descriptor, start, os.SEEK_SET)
            parts = []
            while limit > 0 and (part := os.read(descriptor, min(limit, READ_CHUNK))):
                parts.append(part)
                limit -= len(part)
            return b"".join(parts)
        except (OSError, ValueError):
            return None
        finally:
            os.close(descriptor)

    def names(self, folder: str | Path) -> list[str]:
        """Names in a folder, sorted; empty where it cannot be read."""
        try:
            return sorted(os.listdir(self._at(folder)))  # noqa: PTH208  names are wanted, not paths
        except (OSError, ValueError):
            return []

    def sizes(self, folder: str | Path) -> dict[str, int]:
        """Names in a folder to the size of the file in bytes, -1 for a folder; empty where it cannot be read."""
        found: dict[str, int] = {}
        try:
            with os.scandir(self._at(folder)) as entries:
                for entry in entries:
                    try:
                        found[entry.name] = -1 if entry.is_dir() else entry.stat().st_size
                    except OSError:
                        continue  # a link that leads nowhere: as good as missing
        except (OSError, ValueError):
            return {}
        return found

    def feed(self, path: str | Path, take: Callable[[bytes], object]) -> bool:
        """Hand a regular file's content to `take` in pieces; False where it cannot be read to its end."""
        try:
            with open(self._at(path), "rb", buffering=0) as file:  # noqa: PTH123  60,000 times: a Path costs as much
                while part := file.read(READ_CHUNK):
                    take(part)
        except (OSError, ValueError):
            return False
        return True

    def is_dir(self, path: str | Path) -> bool:
        """Whether the path is a folder."""
        try:
            return os.path.isdir(self._at(path))  # noqa: PTH112
        except (OSError, ValueError):
            return False

    def real_path(self, path: str | Path) -> str:
        """Where symbolic links lead, as the machine itself would name it."""
        real = os.path.realpath(self._at(path))
        root = os.path.realpath(self.root)
        # An absolute link inside a captured tree was made on its machine, so it already is that machine's name.
        return real.removeprefix(root) if not self.is_real and real.startswith(root + os.sep) else real

    def may_open(self, path: str | Path) -> bool | None:
        """Whether this user may read and write the node; None for a captured tree, whose nodes are only names."""
        return os.access(path, os.R_OK | os.W_OK) if self.is_real else None

    def owner_group(self, path: str | Path) -> int | None:
        """Number of the group that owns a path; None for a captured tree."""
        try:
            return Path(path).stat().st_gid if self.is_real else None
        except OSError:
            return None

    def groups(self) -> list[int]:
        """Numbers of the groups this process is in; empty for a captured tree and where there are none."""
        return sorted({os.getegid(), *os.getgroups()}) if self.is_real and hasattr(os, "getgroups") else []

    def uname(self) -> dict[str, str]:
        """Kernel release and machine of the running system (never its node name); empty for a captured tree."""
        if not self.is_real or not hasattr(os, "uname"):
            return {}
        name = os.uname()
        return {"system": name.sysname, "release": name.release, "machine": name.machine}

    def glibc(self) -> str:
        """What the C library says of itself ("glibc 2.36"); "" where it is not glibc or not this machine's."""
        try:
            return (os.confstr("CS_GNU_LIBC_VERSION") or "") if self.is_real else ""
        except (AttributeError, ValueError, OSError):
            return ""

    def affinity(self) -> int | None:
        """How many logical processors this process may run on; None for a captured tree."""
        if not self.is_real:
            return None
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

    def space(self, path: str | Path) -> dict[str, int | bool] | None:
        """Bytes `total` and `free` for this user on the file system of `path` or of its nearest parent that exists,
        and whether that folder is `writable`; None for a captured tree and where it cannot be told."""
        if not self.is_real:
            return None
        folder = os.path.abspath(path)  # noqa: PTH100  a string, as os.statvfs takes it
        while not os.path.isdir(folder) and os.path.dirname(folder) != folder:  # noqa: PTH112, PTH120
            folder = os.path.dirname(folder)  # noqa: PTH120
        try:
            if hasattr(os, "statvfs"):
                figures = os.statvfs(folder)
                total, free = figures.f_blocks * figures.f_frsize, figures.f_bavail * figures.f_frsize
            else:
                import shutil

                total, _, free = shutil.disk_usage(folder)
        except OSError:
            return None
        return {"total": total, "free": free, "writable": os.access(folder, os.W_OK)}

    def exists(self, path: str | Path) -> bool:
        """Whether the path is there (a path that may not be looked at counts as not there)."""
        try:
            return os.path.exists(self._at(path))  # noqa: PTH110
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
        search = self.env.get("PATH", "")
        if os.name == "nt":
            import shutil

            return shutil.which(program, path=search)
        for folder in search.split(os.pathsep):
            candidate = f"{folder}/{program}"
            # An empty entry means the working folder, from which envcheck starts nothing.
            if folder and os.access(candidate, os.X_OK) and os.path.isfile(candidate):  # noqa: PTH113
                return candidate
        return None

    def run(
        self,
        argv: list[str],
        timeout: float | None = None,
        env: dict[str, str] | None = None,
        held: tuple[int, ...] = (),
    ) -> Completed:
        """Run a program to its end or kill it with all its children at the limit (seconds; default `limit_s`).

        `held` are open files that the program keeps open, such as a lock that must outlive a kill of this process.
        """
        import subprocess

        limit = self.limit_s if timeout is None else timeout
        started = time.monotonic()
        program = argv[0] if os.path.isabs(argv[0]) else self.which(argv[0])  # noqa: PTH117  a string, not a path of ours
        if program is None:
            return Completed(argv=tuple(argv), code=127, failure="missing")
        try:
            process = start(
                [program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.env if env is None else {**self.env, **env},
                start_new_session=True,
                pass_fds=held,
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
            code=process.returncode if process.returncode is not None else -9,
            out=out[:OUTPUT_LIMIT].decode("utf-8", "replace"),
            err=err[:OUTPUT_LIMIT].decode("utf-8", "replace"),
            failure=failure,
            seconds=time.monotonic() - started,
        )

    def ask_loopback(
        self, questions: list[tuple[int, bytes]], limit_s: float = PORT_LIMIT_S
    ) -> list[tuple[bool, bytes]]:
        """For each (port, bytes to send) on 127.0.0.1: whether something listens, and what it answered by the limit.

        All connections are open at once, so the limit (seconds) holds for all of them together. Only where the level
        and `ports` allow connections, and never in the name of a captured machine.
        """
        if not questions or self.level < 1 or not self.ports or not self.is_real:
            return [(False, b"")] * len(questions)
        from envcheck.loopback import ask

        return ask([("127.0.0.1", port) for port, _ in questions], [sent for _, sent in questions], limit_s)

    def ask_socket(self, path: str, sent: bytes, limit_s: float | None = None) -> tuple[bool, bytes]:
        """The same for a Unix socket, such as a container engine's (limit in seconds; default `limit_s`)."""
        if self.level < 1 or not self.is_real or os.name == "nt":
            return False, b""
        from envcheck.loopback import ask

        return ask([path], [sent], self.limit_s if limit_s is None else limit_s)[0]

    def is_socket(self, path: str) -> bool:
        """Whether a Unix socket is there."""
        try:
            return self.path(path).is_socket()
        except (OSError, ValueError):
            return False


def start(argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """`subprocess.Popen`, into which no interrupt can fall: one that did would leave a program that nobody can stop.

    An interrupt that comes meanwhile is delivered once the program can be killed, which is done first.
    """
    import signal
    import subprocess
    import threading

    waiting: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        return subprocess.Popen(argv, **options)
    process: subprocess.Popen[bytes] | None = None
    signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    try:
        process = subprocess.Popen(argv, **options)
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            if process is not None:
                kill_tree(process)
            before(waiting[0], None)
    return process


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a child started in its own session together with everything it started."""
    import signal

    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        process.kill()


def _drain(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What a killed child had written. A child stuck in the kernel cannot be reaped, so this waits only briefly."""
    import subprocess

    try:
        return process.communicate(timeout=0.5)
    except subprocess.TimeoutExpired:
        return b"", b""
