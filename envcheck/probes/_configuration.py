"""Settings files of pip and uv that change what an install takes: indexes, constraints, targets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envcheck.probes._redact import Redactor

if TYPE_CHECKING:
    from envcheck.host import Host

_KEYS_TEXT = """
    break-system-packages constraint default default-index exclude-newer extra-index-url find-links index
    index-strategy index-url link-mode no-binary no-index offline only-binary override-dependencies pre prefix
    prerelease require-virtualenv target torch-backend url user
"""
_KEYS = frozenset(_KEYS_TEXT.split())
_LINE = re.compile(r"^\s*([A-Za-z][\w-]{1,40})\s*[=:]\s*(.{0,500}?)\s*$")


def collect(host: Host, prefix: str, is_venv: bool) -> dict[str, str]:
    """ "pip:global.index-url" to its redacted value, for every file that pip and uv would read outside a project."""
    redact = Redactor(host, prefix if is_venv else "")
    found: dict[str, str] = {}
    for tool, path in _files(host, prefix):
        section = ""
        for line in (host.read(path, 65536) or "").splitlines():
            if header := re.fullmatch(r"\s*\[{1,2}\s*([\w.-]{1,40})\s*\]{1,2}\s*", line):
                section = header.group(1) + "."
            elif (pair := _LINE.fullmatch(line)) and pair.group(1).lower().replace("_", "-") in _KEYS:
                key = f"{tool}:{section}{pair.group(1).lower().replace('_', '-')}"
                found[key] = redact(pair.group(2).strip("\"'"), 300)
    return dict(sorted(found.items())[:100])


def _files(host: Host, prefix: str) -> list[tuple[str, str]]:
    """In order of precedence, weakest first, so that a stronger file overwrites; pip and uv document these places."""
    home = host.env.get("HOME", "")
    config = host.env.get("XDG_CONFIG_HOME") or f"{home}/.config"
    files = [("pip", "/etc/pip.conf"), ("pip", "/etc/xdg/pip/pip.conf"), ("uv", "/etc/uv/uv.toml")]
    if home:
        files += [("pip", f"{home}/.pip/pip.conf"), ("pip", f"{config}/pip/pip.conf"), ("uv", f"{config}/uv/uv.toml")]
    files += [("pip", f"{prefix}/pip.conf")]
    files += [
        (tool, path)
        for tool, name in (("pip", "PIP_CONFIG_FILE"), ("uv", "UV_CONFIG_FILE"))
        if (path := host.env.get(name))
    ]
    return files
