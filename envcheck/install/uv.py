"""uv does the resolving and the linking; this module only calls it, with an environment that cannot defeat the plan."""

from __future__ import annotations

import os
import sys
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
MIRRORS = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
)
"""The user's own mirrors: honoured and reported, because behind a company wall nothing else is reachable."""


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
    # pip's find-links is how some machines provide torch's CPU build; uv has its own name for it.
    if "PIP_FIND_LINKS" in kept and "UV_FIND_LINKS" not in kept:
        kept["UV_FIND_LINKS"] = kept["PIP_FIND_LINKS"]
    kept.update(UV_NO_PROGRESS="1", UV_NO_CONFIG=kept.get("UV_NO_CONFIG", ""), NO_COLOR="1")
    if not kept["UV_NO_CONFIG"]:
        del kept["UV_NO_CONFIG"]
    return Host(root=host.root, env=kept, limit_s=LONG_S, level=host.level, ports=host.ports)


def mirrors(host: Host) -> dict[str, str]:
    """Index settings of the user that apply to this installation, without credentials."""
    return {name: _without_credentials(host.env[name]) for name in MIRRORS if host.env.get(name)}


def _without_credentials(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2] if separator and "@" in rest.split("/")[0] else url


def call(host: Host, *arguments: str, failed: str) -> Completed:
    """Run uv; where it fails, one sentence with the last lines of what it said."""
    done = scrubbed(host).run([program(host), *arguments], timeout=LONG_S)
    if not done.ok:
        words = " ".join((done.err or done.out or done.failure).split())
        raise EnvcheckError(f"{failed}: {words[-600:]}")
    return done
