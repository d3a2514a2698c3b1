"""Where the target interpreter keeps its packages and what it is, from `pyvenv.cfg` and folder names.

The interpreter itself is asked only where the files leave the version or the folders open.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

_QUESTION = (
    "import sys,sysconfig;p=sysconfig.get_paths();print('\\n'.join(["
    "'.'.join(map(str,sys.version_info[:3])),sys.implementation.name,p['purelib'],p['platlib'],sys.base_prefix]))"
)


class Layout(Record):
    """Folders of one interpreter. They stay in `collect`: paths are not evidence."""

    python: str
    prefix: str
    base: str
    """Prefix of the installation that a virtual environment was made from; equal to `prefix` without one."""
    folders: tuple[str, ...]
    """Folders that hold distributions, in import order."""
    version: str = ""
    implementation: str = ""
    is_venv: bool = False
    system_site: bool = False
    asked: bool = False


def find(host: Host) -> Layout:
    """The layout of the target interpreter."""
    named = host.target_python
    python = behind_shim(host, named if "/" in named or "\\" in named else host.which(named) or named)
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(python)))  # noqa: PTH100, PTH120  names of the machine, as text
    config = _pyvenv(host, prefix)
    if not config:
        real = host.real_path(python)
        base = os.path.dirname(os.path.dirname(real))  # noqa: PTH120
        # /usr/bin/python3 leads to /usr/bin/python3.11; a conda or uv interpreter lies in its own prefix.
        prefix = base if not _libraries(host, prefix) else prefix
        return _ask_if_needed(host, python, _plain(host, prefix, os.path.basename(real)))  # noqa: PTH119
    base = os.path.dirname(config.get("home", "")) or prefix  # noqa: PTH120
    version = re.match(r"\d+\.\d+(?:\.\d+)?", config.get("version_info") or config.get("version") or "")
    system_site = config.get("include-system-site-packages", "").lower() == "true"
    folders = _libraries(host, prefix)
    if system_site:
        folders += _plain(host, base, "").folders
    layout = Layout(
        python=python,
        prefix=prefix,
        base=base,
        folders=tuple(folders),
        version=version.group(0) if version else _version_of(folders),
        implementation=config.get("implementation", "").lower(),
        is_venv=True,
        system_site=system_site,
    )
    return _ask_if_needed(host, python, layout)


def behind_shim(host: Host, python: str) -> str:
    """The interpreter that a pyenv shim would start: the shim is a shell script and takes 50 ms to say so.

    Order as in `pyenv version`: PYENV_VERSION, a `.python-version` here or above, the global `version` file.
    """
    folder, _, program = python.rpartition("/")
    root = folder.removesuffix("/shims")
    if root == folder or not host.is_dir(f"{root}/versions"):
        return python
    here = host.env.get("PWD", "") if host.is_real else ""
    above = [here[:end] for end in range(len(here), 0, -1) if end == len(here) or here[end] == "/"]
    files = [f"{place}/.python-version" for place in above[:20]] + [f"{root}/version"]
    stated = host.env.get("PYENV_VERSION") or next((t for f in files if (t := (host.read(f, 1000) or "").strip())), "")
    for name in stated.replace(":", "\n").splitlines():
        if host.exists(f"{root}/versions/{name.strip()}/bin/{program}"):
            return f"{root}/versions/{name.strip()}/bin/{program}"
    return python


def _pyvenv(host: Host, prefix: str) -> dict[str, str]:
    lines = (host.read(f"{prefix}/pyvenv.cfg", 8192) or "").splitlines()
    return {
        key.strip().lower(): value.strip() for key, found, value in (line.partition("=") for line in lines) if found
    }


def _libraries(host: Host, prefix: str) -> list[str]:
    """site-packages below a prefix; `lib64` is a link to `lib` in virtual environments and is left out there."""
    if host.is_dir(f"{prefix}/Lib/site-packages"):
        return [f"{prefix}/Lib/site-packages"]
    return [
        f"{prefix}/lib/{name}/site-packages"
        for name in sorted(host.names(f"{prefix}/lib"), reverse=True)
        if re.fullmatch(r"(?:python|pypy)3\.\d+t?", name) and host.is_dir(f"{prefix}/lib/{name}/site-packages")
    ][:1]


def _plain(host: Host, prefix: str, program: str) -> Layout:
    """An interpreter that is not a virtual environment: system, conda, pyenv, uv or a framework build."""
    named = re.search(r"(3\.\d+)", program)
    short = named.group(1) if named else _version_of(_libraries(host, prefix))
    home = host.env.get("HOME", "")
    candidates = [
        f"{home}/.local/lib/python{short}/site-packages" if home and not host.env.get("PYTHONNOUSERSITE") else "",
        f"{prefix}/lib/python{short}/site-packages",
        f"{prefix}/lib64/python{short}/site-packages",
        f"/usr/local/lib/python{short}/dist-packages" if prefix == "/usr" else "",
        f"/usr/local/lib/python{short}/site-packages" if prefix == "/usr" else "",
        f"{prefix}/lib/python3/dist-packages",
        f"{prefix}/Lib/site-packages",
    ]
    folders, seen = [], set()
    for folder in candidates:
        if folder and host.is_dir(folder) and (real := host.real_path(folder)) not in seen:
            seen.add(real)
            folders.append(folder)
    return Layout(python="", prefix=prefix, base=prefix, folders=tuple(folders), version=short)


def _version_of(folders: list[str]) -> str:
    found = re.search(r"/(?:python|pypy)(3\.\d+)t?/", folders[0] + "/") if folders else None
    return found.group(1) if found else ""


def _ask_if_needed(host: Host, python: str, layout: Layout) -> Layout:
    """Complete what the files left open: from this process where it is the same interpreter, else ask the target."""
    if layout.version.count(".") == 2 and layout.folders:
        return layout
    if host.is_real and os.path.realpath(python) == os.path.realpath(sys.executable):
        version = ".".join(map(str, sys.version_info[:3]))
        if layout.folders:
            return _with(layout, version=version, implementation=sys.implementation.name)
    if host.level < 1:
        return layout
    answer = host.run([python, "-I", "-S", "-c", _QUESTION])
    lines = answer.out.splitlines()
    if not answer.ok or len(lines) < 5:
        return layout
    folders = layout.folders or tuple(dict.fromkeys(lines[2:4]))
    return _with(layout, version=lines[0], implementation=lines[1], folders=folders, base=lines[4], asked=True)


def _with(layout: Layout, **changes: Any) -> Layout:
    import msgspec

    return msgspec.structs.replace(layout, **changes)
