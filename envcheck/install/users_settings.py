"""The user's own settings of uv and pip: what says where packages are applies, what would change the plan does not.

uv reads settings from variables, from `uv.toml` of the system and of the user, and from the project in whose folder it
is started; any of them may hold packages back, override requirements or turn hashes off. So uv is called with none of
its files, and with those variables alone that say where packages are and how to get them
(https://docs.astral.sh/uv/reference/settings/, https://docs.astral.sh/uv/reference/environment/).
"""

from __future__ import annotations

import configparser
import os
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from envcheck.host import Host

MIRRORS = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")
"""The user's own mirrors: honoured and reported, because behind a company wall nothing else is reachable."""
_KEPT = (
    *(name for name in MIRRORS if name != "UV_CONFIG_FILE"),
    *("UV_CACHE_DIR", "UV_NO_CACHE", "UV_OFFLINE", "UV_NO_INDEX", "UV_INDEX_", "UV_LINK_MODE", "UV_CONCURRENT_"),
    *("UV_HTTP_", "UV_REQUEST_TIMEOUT", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST"),
    *("UV_KEYRING_PROVIDER", "UV_CREDENTIALS_DIR", "UV_AUTH_"),
)
"""Beginnings of uv's variables that say where packages are, and how to get them."""
_ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX")
"""Variables of others that would make uv, or the new environment's Python, work somewhere else."""
_FROM_PIP = {"index-url": "UV_DEFAULT_INDEX", "find-links": "UV_FIND_LINKS"}
"""pip's settings that name a mirror, and uv's names of them (uv reads nothing of pip)."""
_LEFT_ASIDE = "extra-index-url"
"""pip mixes an extra index with the first; that lets a stranger's package win, so only uv's own setting is used."""
_FROM_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "index-strategy": "UV_INDEX_STRATEGY",
    "no-index": "UV_NO_INDEX",
    "offline": "UV_OFFLINE",
    "keyring-provider": "UV_KEYRING_PROVIDER",
    "allow-insecure-host": "UV_INSECURE_HOST",
    "native-tls": "UV_NATIVE_TLS",
    "system-certs": "UV_SYSTEM_CERTS",
    "cache-dir": "UV_CACHE_DIR",
    "link-mode": "UV_LINK_MODE",
}
"""uv's settings that say where packages are and how to get them, and the variables of the same meaning."""
_PATHS = ("find-links", "cache-dir")
_NOT_ABOUT_PACKAGES = ("pip", "sources", "workspace", "dev-dependencies", "managed", "package", "publish-url")
"""Tables and settings of uv that say nothing of how `uv pip` installs."""


def scrubbed_variables(host: Host) -> dict[str, str]:
    """The environment for uv: without what would change the plan, with the user's mirrors wherever they are set."""
    kept = {
        name: value
        for name, value in host.env.items()
        if name not in _ELSEWHERE and (not name.startswith("UV_") or name.startswith(_KEPT))
    }
    for settings in _uv_files(host):
        for name, value in settings.variables.items():
            # Lists of several files are one list, the nearer file's part first; of anything else the nearer file's.
            if name not in host.env and name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS") and name in kept:
                kept[name] += ("," if name == "UV_FIND_LINKS" else " ") + value
            elif not _is_set(name, kept):
                kept[name] = value
    said = _said_to_pip(host)
    for theirs, ours in _FROM_PIP.items():
        if theirs in said and not _is_set(ours, kept):
            # pip separates several places by spaces, uv by commas.
            kept[ours] = ",".join(said[theirs][1].split())
    return {**kept, "UV_NO_CONFIG": "1"}


def _is_set(name: str, kept: dict[str, str]) -> bool:
    return name in kept or (name == "UV_DEFAULT_INDEX" and "UV_INDEX_URL" in kept)


def mirrors(host: Host) -> dict[str, str]:
    """Settings of the user that apply to this installation, or are left aside, without credentials."""
    found = {name: _without_credentials(host.env[name]) for name in MIRRORS if host.env.get(name)}
    for name, (origin, value) in _said_to_pip(host).items():
        ours = _FROM_PIP.get(name)
        if ours is None:
            found[origin] = f"{_without_credentials(value)} (left aside: set UV_INDEX to use it)"
        elif ours not in found:
            found[origin] = _without_credentials(value)
    for settings in _uv_files(host):
        words = [f"{name} = {_without_credentials(value)}" for name, value in settings.shown.items()]
        aside = ", ".join(settings.aside)
        words += [f"left aside, because it would change the plan: {aside}"] if aside else []
        if words:
            found[settings.path] = "; ".join(words)
    for name in sorted(host.env):
        if name.startswith("UV_") and not name.startswith((*_KEPT, *MIRRORS)) and host.env[name]:
            found[name] = "left aside, because it could change the plan"
    return found


def setting_of(host: Host, url: str) -> str:
    """The variable or the file of the user that names the server of an address; empty where none does."""
    server = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    named = (name for name, value in mirrors(host).items() if server and f"//{server}" in value)
    return next(named, "")


# --- uv ---------------------------------------------------------------------------------------------------------------


class _Settings:
    """One file of settings of uv."""

    def __init__(self, path: str, folder: str, table: dict[str, Any]) -> None:
        self.path = path
        self.variables: dict[str, str] = {}
        self.shown: dict[str, str] = {}
        own = table.get("pip")
        flat = {**table, **(own if isinstance(own, dict) else {})}
        for name, variable in _FROM_UV.items():
            if name in flat:
                self.variables[variable] = _as_variable(name, flat[name], folder)
        first, others = _indexes(flat.get("index"), folder)
        if first:
            self.variables["UV_DEFAULT_INDEX"] = first
        if others:
            self.variables["UV_INDEX"] = " ".join(others)
        places = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
        self.shown = {name: self.variables[name] for name in places if name in self.variables}
        about = (name for name in flat if name not in (*_FROM_UV, "index", *_NOT_ABOUT_PACKAGES))
        self.aside = tuple(sorted(about))


def _as_variable(name: str, value: Any, folder: str) -> str:
    values = value if isinstance(value, list) else [value]
    words = [("1" if each else "0") if isinstance(each, bool) else str(each) for each in values]
    words = [_absolute(word, folder) if name in _PATHS else word for word in words]
    return ("," if name == "find-links" else " ").join(words)


def _indexes(rows: Any, folder: str) -> tuple[str, list[str]]:
    """The default index and the others of `[[index]]`. Explicit ones serve only what a project's sources name."""
    first, others = "", []
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict) or not isinstance(row.get("url"), str) or row.get("explicit") is True:
            continue
        url = _absolute(row["url"], folder)
        if row.get("default") is True:
            first = first or url
        else:
            others.append(f"{row['name']}={url}" if isinstance(row.get("name"), str) else url)
    return first, others


def _absolute(place: str, folder: str) -> str:
    return place if "://" in place else str(Path(folder, place))


def _uv_files(host: Host) -> Iterator[_Settings]:
    """uv's files of settings, the nearest first: of the project around the working folder, the user, the system."""
    if host.env.get("UV_NO_CONFIG", "") not in ("", "0", "false"):
        return
    named = host.env.get("UV_CONFIG_FILE")
    for path in [named] if named else [*_project_file(host), *reversed(_configurations(host, "uv/uv.toml"))]:
        table = _table(host, path)
        if path.endswith("pyproject.toml"):
            table = _inner(_inner(table, "tool"), "uv")
        if table:
            yield _Settings(_shown(host, path), str(Path(path).parent), table)


def _project_file(host: Host) -> Iterator[str]:
    """The nearest `uv.toml`, or `pyproject.toml` with settings of uv, around the working folder."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        for name in ("uv.toml", "pyproject.toml"):
            path = str(folder / name)
            if host.exists(path) and (name == "uv.toml" or _inner(_inner(_table(host, path), "tool"), "uv")):
                yield path
                return


def _table(host: Host, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(host.read(path) or "")
    except tomllib.TOMLDecodeError:
        return {}  # uv itself stops there and says so


def _inner(table: dict[str, Any], name: str) -> dict[str, Any]:
    inner = table.get(name)
    return inner if isinstance(inner, dict) else {}


# --- pip --------------------------------------------------------------------------------------------------------------


def _said_to_pip(host: Host) -> dict[str, tuple[str, str]]:
    """Where pip is told to look: setting to (variable or file that says it, value). Variables go first, as in pip."""
    found: dict[str, tuple[str, str]] = {}
    for path in _pip_files(host):
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(host.read(path) or "")
        except configparser.Error:
            continue  # pip itself stops there and says so
        for name in (*_FROM_PIP, _LEFT_ASIDE):
            for section in ("global", "install"):
                if value := parser.get(section, name, fallback="").strip():
                    found[name] = (f"{name} in {_shown(host, path)}", " ".join(value.split()))
    for name in (*_FROM_PIP, _LEFT_ASIDE):
        variable = "PIP_" + name.upper().replace("-", "_")
        if value := host.env.get(variable, "").strip():
            found[name] = (variable, value)
    return found


def _pip_files(host: Host) -> Iterable[str]:
    """pip's files of settings, the strongest last (https://pip.pypa.io/en/stable/topics/configuration/)."""
    named = host.env.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = host.env.get("HOME", "")
    older = [path for path in (f"{home}/.pip/pip.conf",) if home and host.exists(path)]
    found = _configurations(host, "xdg/pip/pip.conf", "pip/pip.conf", "pip.conf")
    return [*older, *found, *([named] if named else [])]


def _configurations(host: Host, *names: str) -> list[str]:
    """Configuration files of the system and of the user that exist, the stronger one last."""
    home = host.env.get("HOME", "")
    folders = ("/etc", host.env.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else ""))
    return [path for folder in folders if folder for name in names if host.exists(path := f"{folder}/{name}")]


def _shown(host: Host, path: str) -> str:
    return path.replace(host.env.get("HOME") or "\0", "~")


def _without_credentials(value: str) -> str:
    return " ".join(_bare(url) for url in value.split())


def _bare(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return scheme + separator + place.rpartition("@")[2] + slash + path if separator else url
