"""uv does the resolving and the linking; this module only calls it, with an environment that cannot defeat the plan."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from envcheck.host import Completed, Host
from envcheck.install.users_settings import scrubbed_variables, setting_of
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.plan import OwnIndex

LONG_S = 3600.0
IMPATIENT = {"UV_HTTP_RETRIES": "1", "UV_HTTP_CONNECT_TIMEOUT": "5"}
"""For a question that has a second answer elsewhere: an index behind a wall should cost seconds, not a minute."""

_TAGS = frozenset(
    (
        *(
            "cpu",
            "xpu",
            "cu132",
            "cu130",
            "cu129",
            "cu128",
            "cu126",
            "cu125",
            "cu124",
            "cu123",
            "cu122",
            "cu121",
            "cu120",
        ),
        *("cu118", "cu117", "cu116", "cu115", "cu114", "cu113", "cu112", "cu111", "cu110", "cu102", "cu101", "cu100"),
        *(
            "cu92",
            "cu91",
            "cu90",
            "cu80",
            "rocm7.2",
            "rocm7.1",
            "rocm7.0",
            "rocm6.4",
            "rocm6.3",
            "rocm6.2.4",
            "rocm6.2",
        ),
        *("rocm6.1", "rocm6.0", "rocm5.7", "rocm5.6", "rocm5.5", "rocm5.4.2", "rocm5.4", "rocm5.3", "rocm5.2"),
        *("rocm5.1.1", "rocm4.2", "rocm4.1", "rocm4.0.1"),
    )
)
"""Values of `--torch-backend` that uv 0.13.8 accepts (its own `--help`, 2026-11-21)."""


def torch_arguments(tag: str | None, index: str) -> tuple[str, ...]:
    """How uv is told where a torch build is: by its tag, else by the address of the tag's index.

    That index carries old copies of common packages, too; they are compared with those of the package index.
    """
    if not tag:
        return ()
    return ("--torch-backend", tag) if tag in _TAGS else ("--index", index, "--index-strategy", "unsafe-best-match")


def index_arguments(urls: Iterable[str], torch: Sequence[str]) -> tuple[str, ...]:
    """How uv is told of indexes beside those that `torch` names: what it fetches must have the hash of its lock, so
    every index may be asked for every package."""
    own = [word for url in urls for word in ("--index", url)]
    strategy = () if not own or "--index-strategy" in torch else ("--index-strategy", "unsafe-best-match")
    return (*torch, *own, *strategy)


def by_hand(own: Iterable[OwnIndex], torch: Sequence[str]) -> tuple[str, ...]:
    """The same for a command without hashes: what an own index has is taken from there, before any other is asked."""
    return (*torch, *(word for one in own for word in ("--index", one.url)))


def program(host: Host) -> str:
    """uv beside our own interpreter, or on PATH; one sentence where there is none."""
    beside = Path(sys.executable).parent / ("uv.exe" if os.name == "nt" else "uv")
    if beside.is_file():
        return str(beside)
    found = host.which("uv")
    if found is None:
        raise EnvcheckError(
            "`uv` is not installed and `envcheck install` resolves with it: pip install 'llm-envcheck[install]'."
        )
    return found


def scrubbed(host: Host) -> Host:
    """The host without the variables and settings that would silently install something else, or somewhere else."""
    # An interpreter is always named; uv must not fetch one because a plan is for a version that is not here.
    own = {"UV_NO_PROGRESS": "1", "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"}
    env = {**scrubbed_variables(host), **own}
    return Host(root=host.root, env=env, limit_s=LONG_S, level=host.level, ports=host.ports)


def call(
    host: Host,
    *arguments: str,
    failed: str,
    hint: str = "",
    env: Mapping[str, str] | None = None,
    held: tuple[int, ...] = (),
) -> Completed:
    """Run uv; where it fails, one sentence with the last lines of what it said, and what to do. `env` adds variables.

    `held` is the lock of the environment that uv changes: where this process is killed, uv works on for a moment, and
    nobody else may touch the environment before it has ended.
    """
    clean = scrubbed(host)
    added = {name: value for name, value in (env or {}).items() if name not in clean.env}
    done = clean.run([program(host), *_with_users_indexes(arguments, clean)], timeout=LONG_S, env=added, held=held)
    if not done.ok:
        words = _words(done)
        if _UNREACHABLE.search(words) is not None:
            asked, cause = _asked(words), words.rpartition("cause: ")[2][-200:]
            place = f"{asked}: {cause}" if asked else cause
            place += f"; it is your setting {setting}" if (setting := setting_of(host, asked)) else ""
            says = f"{failed}: the package index cannot be reached ({place}): {_NO_INDEX}"
            raise UnreachableError(says, asked, cause)
        if _FULL.search(words) is not None:
            raise EnvcheckError(f"{failed}: the disk is full: make room, for example with `envcheck gc`.")
        raise EnvcheckError(f"{failed}: {words[-600:]}{f' — {hint}' if hint else ''}")
    return done


_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


def _words(done: Completed) -> str:
    """What uv said of its failure, without the warnings before it."""
    said = done.err or done.out or done.failure
    at = said.find("error: ")
    return " ".join((said[at:] if at >= 0 else said).split())


def _with_users_indexes(arguments: Sequence[str], clean: Host) -> list[str]:
    """An index on the command line would take the place of the user's own in the environment: both are named."""
    theirs = clean.env.get("UV_INDEX", "").split() if "--index" in arguments else []
    at = arguments.index("--index") if theirs else 0
    return [*arguments[:at], *(word for url in theirs for word in ("--index", url)), *arguments[at:]]


class UnreachableError(EnvcheckError):
    """An index did not answer, or not with what was asked for."""

    def __init__(self, says: str, asked: str = "", cause: str = "") -> None:
        super().__init__(says)
        self.asked = asked
        """The address, where uv names it."""
        self.cause = cause
        """What the system said of it."""


def _asked(words: str) -> str:
    match = re.search(r"(?:fetch|query)[^:]*: `?(https?://[^\s`]+)", words, re.IGNORECASE)
    return match[1] if match else ""


_CHATTER = re.compile(r"^(?:Using Python|Resolved|Prepared|Installed) .*\n?", re.MULTILINE)
"""What uv says before it fails."""
_NO_INDEX = "connect to the network, name a mirror in UV_DEFAULT_INDEX, or use --offline with --wheelhouse."


_UNREACHABLE = re.compile(
    r"failed to fetch|error sending request|dns error|\bconnection\b|\bconnect error|timed out|\bnetwork\b|\b40[34]\b",
    re.IGNORECASE,
)
