"""uv does the resolving and the linking; this module only calls it, with an environment that cannot defeat the plan."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from envcheck.host import Completed, Host
from envcheck.schema.errors import EnvcheckError

LONG_S = 3600.0
_DEFEATS_A_PLAN = (
    "UV_TORCH_BACKEND",
    "UV_PYTHON",
    "UV_PROJECT_ENVIRONMENT",
    "UV_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_BUILD_CONSTRAINT",
    "UV_EXCLUDE_NEWER",
    "UV_PRERELEASE",
    "UV_RESOLUTION",
    "UV_SYSTEM_PYTHON",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
)
MIRRORS = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")
"""The user's own mirrors: honoured and reported, because behind a company wall nothing else is reachable."""
_FROM_PIP = {"index-url": "UV_DEFAULT_INDEX", "find-links": "UV_FIND_LINKS"}
"""pip's settings that name a mirror, and uv's names of them (uv reads nothing of pip)."""
_LEFT_ASIDE = "extra-index-url"
"""pip mixes an extra index with the first; that lets a stranger's package win, so only uv's own setting is used."""
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
    """The host without the variables that would silently install something else, or somewhere else."""
    kept = {k: v for k, v in host.env.items() if k not in _DEFEATS_A_PLAN}
    said = _said_to_pip(host)
    for theirs, ours in _FROM_PIP.items():
        if theirs in said and ours not in kept and not (ours == "UV_DEFAULT_INDEX" and "UV_INDEX_URL" in kept):
            # pip separates several places by spaces, uv by commas.
            kept[ours] = ",".join(said[theirs][1].split())
    kept.update(UV_NO_PROGRESS="1", NO_COLOR="1")
    return Host(root=host.root, env=kept, limit_s=LONG_S, level=host.level, ports=host.ports)


def mirrors(host: Host) -> dict[str, str]:
    """Index settings of the user that apply to this installation, without credentials."""
    found = {name: _without_credentials(host.env[name]) for name in MIRRORS if host.env.get(name)}
    for name, (origin, value) in _said_to_pip(host).items():
        ours = _FROM_PIP.get(name)
        if ours is None:
            found[origin] = f"{_without_credentials(value)} (left aside: set UV_INDEX to use it)"
        elif ours not in found:
            found[origin] = _without_credentials(value)
    for path in _configurations(host, "uv/uv.toml"):
        found[path.replace(host.env.get("HOME") or "\0", "~")] = "read by uv"
    return found


def _said_to_pip(host: Host) -> dict[str, tuple[str, str]]:
    """Where pip is told to look: setting to (variable or file that says it, value). Variables go first, as in pip."""
    import configparser

    found: dict[str, tuple[str, str]] = {}
    for path in _configurations(host, "pip/pip.conf", "pip.conf"):
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(host.read(path) or "")
        except configparser.Error:
            continue  # pip itself stops there and says so
        shown = path.replace(host.env.get("HOME") or "\0", "~")
        for name in (*_FROM_PIP, _LEFT_ASIDE):
            for section in ("global", "install"):
                if value := parser.get(section, name, fallback="").strip():
                    found[name] = (f"{name} in {shown}", " ".join(value.split()))
    for name in (*_FROM_PIP, _LEFT_ASIDE):
        variable = "PIP_" + name.upper().replace("-", "_")
        if value := host.env.get(variable, "").strip():
            found[name] = (variable, value)
    return found


def _configurations(host: Host, *names: str) -> list[str]:
    """Configuration files of the system and of the user that exist, the stronger one last."""
    home = host.env.get("HOME", "")
    folders = ("/etc", host.env.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else ""))
    return [path for folder in folders if folder for name in names if host.exists(path := f"{folder}/{name}")]


def _without_credentials(value: str) -> str:
    return " ".join(_bare(url) for url in value.split())


def _bare(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return scheme + separator + place.rpartition("@")[2] + slash + path if separator else url


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
    done = clean.run([program(host), *arguments], timeout=LONG_S, env=added, held=held)
    if not done.ok:
        words = " ".join((done.err or done.out or done.failure).split())
        if is_unreachable(words):
            failed, hint = f"{failed}: the package index cannot be reached", _NO_INDEX
        raise EnvcheckError(f"{failed}: {words[-600:]}{f' — {hint}' if hint else ''}")
    return done


_NO_INDEX = "connect to the network, name a mirror in UV_DEFAULT_INDEX, or use --offline with --wheelhouse."


_UNREACHABLE = re.compile(
    r"failed to fetch|error sending request|dns error|\bconnection\b|\bconnect error|timed out|\bnetwork\b|\b40[34]\b",
    re.IGNORECASE,
)


def is_unreachable(words: str) -> bool:
    """Whether uv says that an index did not answer, or not with what was asked for."""
    return _UNREACHABLE.search(words) is not None
