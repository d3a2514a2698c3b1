"""From a decision to a lock: exact versions with hashes, wheels only, for one target."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envcheck.host import Host
from envcheck.install import uv
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record
from envcheck.schema.plan import PlannedPackage
from envcheck.schema.recipe import Choice

_HASHED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)\s+--hash=(?P<hash>sha256:[0-9a-f]{64})$")


class Target(Record):
    """What the packages are for. `platform` is uv's name of it; empty for the machine uv runs on."""

    python: str
    platform: str = ""


class Resolved(Record):
    """A lock: the text of a hashed requirements file, and what is in it."""

    text: str
    packages: tuple[PlannedPackage, ...]
    notes: tuple[str, ...] = ()


def resolve(host: Host, choice: Choice, target: Target, work: Path, sources: Sequence[str] = ()) -> Resolved:
    """Resolve the requirements with uv. Raises EnvcheckError with uv's words where no set of versions agrees.

    Where the index of a torch variant cannot be reached, what the reachable index has is taken only if it is the same
    torch for the same accelerator, and the lock says so in `notes`.
    """
    wanted = work / "requirements.in"
    wanted.write_text("".join(line + "\n" for line in choice.requirements), encoding="utf-8")
    notes: list[str] = []
    try:
        packages = _compile(host, wanted, target, work, sources, choice.torch_backend)
    except EnvcheckError as error:
        if choice.torch_backend is None or not _unreachable(str(error)):
            raise
        packages = _compile(host, wanted, target, work, sources, None)
        _require_same_torch(packages, choice.torch_backend, error)
        notes.append(
            f"the index of {choice.torch_backend} builds could not be reached; the reachable index has the same build"
        )
    packages += [_unlocked(line) for line in choice.without_dependencies]
    lines = [f"{p.name}=={p.version} " + " ".join(f"--hash={h}" for h in p.hash.split()) for p in packages]
    shown = tuple(
        PlannedPackage(name=p.name, version=p.version, hash=p.hash.split()[0], origin=p.origin) for p in packages
    )
    return Resolved(text="\n".join(sorted(lines)) + "\n", packages=shown, notes=tuple(notes))


def _compile(
    host: Host, wanted: Path, target: Target, work: Path, sources: Sequence[str], torch_backend: str | None
) -> list[PlannedPackage]:
    lock = work / "pylock.toml"
    lock.unlink(missing_ok=True)
    arguments = [
        "--quiet",
        "--no-header",
        "--generate-hashes",
        "--only-binary",
        ":all:",
        "--python-version",
        target.python,
    ]
    if target.platform:
        arguments += ["--python-platform", target.platform]
    if torch_backend:
        arguments += ["--torch-backend", torch_backend]
    output = ("--format", "pylock.toml", "--output-file", str(lock))
    uv.call(host, "pip", "compile", *arguments, *sources, *output, str(wanted), failed="No set of versions agrees")
    return [_package(row) for row in tomllib.loads(lock.read_text(encoding="utf-8")).get("packages", [])]


def _package(row: dict[str, Any]) -> PlannedPackage:
    """A package of a pylock: hashes of all its files, because which one fits is decided when it is installed."""
    files = [*row.get("wheels", []), *([row["sdist"]] if "sdist" in row else [])]
    hashes = sorted({f"sha256:{f['hashes']['sha256']}" for f in files if "sha256" in f.get("hashes", {})})
    sizes = [f["size"] for f in row.get("wheels", []) if isinstance(f.get("size"), int)]
    if not hashes:
        raise EnvcheckError(
            f"{row['name']} {row['version']} has no hashes in its index: it cannot be installed safely."
        )
    return PlannedPackage(
        name=row["name"],
        version=row["version"],
        hash=" ".join(hashes),
        size_bytes=max(sizes) if sizes else None,
        origin="index",
    )


def _unlocked(line: str) -> PlannedPackage:
    match = _HASHED.match(line)
    if match is None:
        raise EnvcheckError(f"The profile line {line!r} is not name==version --hash=sha256:…: reinstall llm-envcheck.")
    return PlannedPackage(
        name=match["name"], version=match["version"], hash=match["hash"], origin="index, without its dependencies"
    )


def _unreachable(words: str) -> bool:
    signs = (
        "failed to fetch",
        "error sending request",
        "dns error",
        "connection",
        "timed out",
        "network",
        "403",
        "404",
    )
    return any(sign in words.lower() for sign in signs)


def _require_same_torch(packages: Sequence[PlannedPackage], variant: str, error: EnvcheckError) -> None:
    """A build of another accelerator under the same version number is not what was decided."""
    torch = next((p for p in packages if p.name == "torch"), None)
    local = torch.version.partition("+")[2] if torch else variant
    if torch is None or local == variant:
        return
    raise EnvcheckError(
        f"The index of torch {variant} builds cannot be reached, and the reachable index has torch {torch.version} "
        f"only, which is another build: give --wheelhouse, or a mirror in UV_DEFAULT_INDEX. ({error})"
    )
