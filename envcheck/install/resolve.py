"""From a decision to a lock: exact versions with hashes, wheels only, for one target."""

from __future__ import annotations

import contextlib
import re
import threading
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from envcheck.host import Host
from envcheck.install import shipped, uv
from envcheck.install.sizes import sizes_of
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record
from envcheck.schema.plan import PlannedPackage
from envcheck.schema.recipe import Choice

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
BEHIND_MINORS = 2
"""A package that a constraint pushed back by more than this many minor releases is worth a word."""
_HASHED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)\s+--hash=(?P<hash>sha256:[0-9a-f]{64})$")


class UnresolvableError(EnvcheckError):
    """No set of versions meets every requirement at once."""


class Target(Record):
    """What the packages are for. `platform` is uv's name of it; empty for the machine uv runs on."""

    python: str
    platform: str = ""


class Resolved(Record):
    """A lock: the text of a hashed requirements file, what is in it, and the PEP 751 lock it was made from."""

    text: str
    packages: tuple[PlannedPackage, ...]
    lock: dict[str, Any] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    torch_backend: str | None = None
    """Index tag whose torch was taken; None where it was found elsewhere."""
    warnings: tuple[str, ...] = ()
    """Packages that are far behind the newest that this Python could have."""


def resolve(host: Host, choice: Choice, target: Target, work: Path, sources: Sequence[str] = ()) -> Resolved:
    """Resolve the requirements with uv. Raises EnvcheckError with uv's words where no set of versions agrees.

    Where the index of a torch variant cannot be reached, what the reachable index has is taken only if it is the same
    torch for the same accelerator, and the lock says so in `notes`.
    """
    wanted = work / "requirements.in"
    wanted.write_text("".join(line + "\n" for line in choice.requirements), encoding="utf-8")
    notes: list[str] = []
    backend = None if sources else choice.torch_backend
    torch_place = uv.torch_arguments(backend, choice.torch_index)
    newest: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: newest.extend(_newest(host, choice, target, work)), daemon=True)
    if not sources:
        asking.start()
    # Where another index may have the same build, the wait for this one is short.
    env = uv.IMPATIENT if choice.torch_elsewhere and not sources else None
    try:
        # A wheelhouse has no index per variant: what lies in it is taken, and must be the build decided on.
        lock = _compile(host, wanted, target, work, sources, torch_place, env)
    except EnvcheckError as error:
        if choice.torch_backend is None or sources or not uv.is_unreachable(str(error)):
            raise
        found = _compile_elsewhere(host, choice, target, work)
        lock = found or _patiently(host, choice, target, work, wanted)
        if found:
            backend = None
            torch = next(row["version"] for row in lock["packages"] if row["name"] == "torch")
            notes.append(
                f"the index of torch {choice.torch_backend} builds could not be reached: torch {torch} was within reach"
            )
    if choice.without_dependencies:
        bare = work / "without-dependencies.in"
        bare.write_text("".join(line + "\n" for line in choice.without_dependencies), encoding="utf-8")
        extra = _compile(host, bare, target, work, ("--no-deps", *sources), ())
        _require_hashes(extra, choice.without_dependencies)
        lock = {**lock, "packages": [*lock.get("packages", []), *extra.get("packages", [])]}
    sizes = sizes_of(lock.get("packages", []), target.python, work, shipped.sizes())
    packages = [_package(row, sizes.get(row["name"])) for row in lock.get("packages", [])]
    lines = sorted(f"{p.name}=={p.version} " + " ".join(f"--hash={h}" for h in p.hash.split()) for p in packages)
    shown = tuple(msgspec.structs.replace(p, hash=p.hash.split()[0]) for p in packages)
    if not sources:
        asking.join()
    warnings = tuple(behind(lock.get("packages", []), newest))
    text = "\n".join(lines) + "\n"
    return Resolved(text=text, packages=shown, lock=lock, notes=tuple(notes), torch_backend=backend, warnings=warnings)


def _newest(host: Host, choice: Choice, target: Target, work: Path) -> list[dict[str, Any]]:
    """The newest wheels of the packages asked for, each by itself; empty where the index does not answer."""
    names = [match.group() for line in choice.requirements if (match := _NAME.match(line))]
    folder = work / "newest"
    folder.mkdir(exist_ok=True)
    found: list[dict[str, Any]] = []
    wanted = folder / "newest.in"
    wanted.write_text("".join(f"{name}\n" for name in names if name != "torch"), encoding="utf-8")
    with contextlib.suppress(EnvcheckError):  # then there is nothing to compare with; the resolution itself speaks
        found = _compile(host, wanted, target, folder, ("--no-deps",), (), uv.IMPATIENT).get("packages", [])
    return found


def behind(chosen: Sequence[dict[str, Any]], newest: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A warning for each package more than two minor releases, or a year, older than the newest for this Python."""
    have = {row["name"]: row for row in chosen}
    for new in newest:
        old = have.get(new["name"])
        if old is None or old["version"] == new["version"]:
            continue
        before, after = _release(old["version"]), _release(new["version"])
        years = _year(new) - _year(old)
        if before[0] != after[0] or after[1] - before[1] > BEHIND_MINORS or years > 1:
            yield f"{old['name']} {old['version']} is chosen because of a constraint, the newest is {new['version']}"


def _release(version: str) -> tuple[int, int]:
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:2]]
    return (numbers[0] if numbers else 0, numbers[1] if len(numbers) > 1 else 0)


def _year(row: dict[str, Any]) -> float:
    """When a release was uploaded, in years; 0 where the index does not say."""
    times = [file["upload-time"] for file in row.get("wheels", []) if "upload-time" in file]
    return min(times).timestamp() / (365.25 * 86_400) if times else 0.0


def _compile_elsewhere(host: Host, choice: Choice, target: Target, work: Path) -> dict[str, Any] | None:
    """The newest build of the same variant that the reachable indexes have. Its label must agree: the package index
    strips labels from its own builds, so an unlabelled torch of the same version may be any build."""
    for version in choice.torch_elsewhere:
        lines = [f"torch=={version}" if line.startswith("torch=") else line for line in choice.requirements]
        wanted = work / "elsewhere.in"
        wanted.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        try:
            return _compile(host, wanted, target, work, (), ())
        except EnvcheckError:
            continue
    return None


def _patiently(host: Host, choice: Choice, target: Target, work: Path, wanted: Path) -> dict[str, Any]:
    """The variant's index once more, with uv's own patience: there was no other way."""
    try:
        return _compile(host, wanted, target, work, (), uv.torch_arguments(choice.torch_backend, choice.torch_index))
    except EnvcheckError as error:
        tried = ", ".join(choice.torch_elsewhere) or choice.torch_backend
        raise EnvcheckError(
            f"The index of torch {choice.torch_backend} builds cannot be reached, and no other index has {tried}: "
            f"give --wheelhouse, or a mirror in UV_DEFAULT_INDEX. ({error})"
        ) from None


def _compile(
    host: Host,
    wanted: Path,
    target: Target,
    work: Path,
    sources: Sequence[str],
    torch: Sequence[str],
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:
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
    arguments += torch
    output = ("--format", "pylock.toml", "--output-file", str(lock))
    failed = "No set of versions agrees"
    try:
        uv.call(host, "pip", "compile", *arguments, *sources, *output, str(wanted), failed=failed, env=env)
    except EnvcheckError as error:
        if uv.is_unreachable(str(error)):
            raise
        words = str(error).removeprefix(f"{failed}: ").removeprefix("error: ")
        raise UnresolvableError(words.removeprefix("No solution found when resolving dependencies cause: ")) from None
    return tomllib.loads(lock.read_text(encoding="utf-8"))


def _package(row: dict[str, Any], size: int | None = None) -> PlannedPackage:
    """A package of a pylock: hashes of all its files, because which one fits is decided when it is installed."""
    files = [*row.get("wheels", []), *([row["sdist"]] if "sdist" in row else [])]
    hashes = sorted({f"sha256:{f['hashes']['sha256']}" for f in files if "sha256" in f.get("hashes", {})})
    if not hashes:
        raise EnvcheckError(
            f"{row['name']} {row['version']} has no hashes in its index: it cannot be installed safely."
        )
    return PlannedPackage(
        name=row["name"],
        version=row["version"],
        hash=" ".join(hashes),
        size_bytes=size,
        origin="index",
    )


def _require_hashes(lock: dict[str, Any], lines: Sequence[str]) -> None:
    """What is installed without its dependencies must be the very file that the profile names."""
    found = {row["name"]: _package(row).hash.split() for row in lock.get("packages", [])}
    for line in lines:
        match = _HASHED.match(line)
        if match is None:
            raise EnvcheckError(
                f"The profile line {line!r} is not name==version --hash=sha256:…: reinstall llm-envcheck."
            )
        if match["hash"] not in found.get(match["name"], []):
            raise EnvcheckError(
                f"{match['name']} {match['version']} in the index is not the file that was locked: refused."
            )
