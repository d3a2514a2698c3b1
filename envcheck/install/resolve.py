"""From a decision to a lock: exact versions with hashes, wheels only, for one target."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from envcheck.host import Host
from envcheck.install import shipped, uv
from envcheck.install.sizes import sizes_of
from envcheck.install.uv import UnreachableError
from envcheck.install.wishes import (
    Wish,
    found_elsewhere,
    is_same_torch,
    places_of,
    same_builds,
    silent_place,
    unreachable,
)
from envcheck.schema.errors import EnvcheckError, UnmetError
from envcheck.schema.facts import Record
from envcheck.schema.plan import OwnIndex, PlannedPackage
from envcheck.schema.recipe import Choice

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
BEHIND_MINORS = 2
"""A package that a constraint pushed back by more than this many minor releases is worth a word."""
_HASHED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)\s+--hash=(?P<hash>sha256:[0-9a-f]{64})$")


class UnresolvableError(UnmetError):
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
    indexes: tuple[str, ...] = ()
    """Addresses of the other indexes that packages were taken from."""
    warnings: tuple[str, ...] = ()
    """Packages that are far behind the newest that this Python could have."""


def resolve(
    host: Host, choice: Choice, target: Target, work: Path, sources: Sequence[str] = (), *, patient: bool = True
) -> Resolved:
    """Resolve the requirements with uv. Raises EnvcheckError with uv's words where no set of versions agrees, and
    UnreachableError where an index does not answer; without `patient` it is not waited for long.

    Where the index of a torch variant, or of another package, cannot be reached, what the reachable index has is taken
    only if it is the same build, and the lock says so in `notes`.
    """
    newest: list[dict[str, Any]] = []
    # A wheelhouse has no index per variant: what lies in it is taken, and must be the build decided on.
    wished = Wish(lines=choice.requirements, sources=tuple(sources))
    if not sources:
        torch = uv.torch_arguments(choice.torch_backend, choice.torch_index)
        wished = Wish(lines=choice.requirements, torch=torch, own=choice.indexes, backend=choice.torch_backend)
    with _beside((lambda: newest.extend(_newest(host, choice, target, work))) if not sources else None):
        lock, met = _first_met(host, choice, target, work, wished, patient)
        if choice.without_dependencies:
            bare = Wish(lines=choice.without_dependencies, sources=("--no-deps", *sources))
            extra = _compile(host, bare, target, work)
            _require_hashes(extra, choice.without_dependencies)
            lock = {**lock, "packages": [*lock.get("packages", []), *extra.get("packages", [])]}
    sizes = sizes_of(lock.get("packages", []), target.python, work, shipped.sizes())
    packages = [_package(row, sizes.get(row["name"])) for row in lock.get("packages", [])]
    lines = sorted(f"{p.name}=={p.version} " + " ".join(f"--hash={h}" for h in p.hash.split()) for p in packages)
    return Resolved(
        text="\n".join(lines) + "\n",
        packages=tuple(msgspec.structs.replace(p, hash=p.hash.split()[0]) for p in packages),
        lock=lock,
        notes=tuple(found_elsewhere(choice, wished, met, lock)),
        torch_backend=met.backend,
        indexes=tuple(own.url for own in met.own),
        warnings=tuple(behind(lock.get("packages", []), newest)),
    )


@contextlib.contextmanager
def _beside(question: Callable[[], None] | None) -> Iterator[None]:
    """Ask something meanwhile; it has its answer, or none, before anybody takes its folder away."""
    if question is None:
        yield
        return
    asking = threading.Thread(target=question, daemon=True)
    asking.start()
    try:
        yield
    finally:
        asking.join()


def _first_met(
    host: Host, choice: Choice, target: Target, work: Path, wished: Wish, patient: bool
) -> tuple[dict[str, Any], Wish]:
    """The lock of the first wish that can be met: as it stands, else the same builds from what answers."""
    # Where another index may have the same build, the wait for this one is short.
    env = uv.IMPATIENT if wished.own or (choice.torch_elsewhere and wished.torch) else None
    try:
        return _compile(host, wished, target, work, env), wished
    except UnreachableError as error:
        first, silent = error, [silent_place(error, wished)]
    for wish in same_builds(choice, wished):
        if not any(place in silent for place in places_of(wish)):
            try:
                lock = _compile(host, wish, target, work, env)
                if wish.torch or is_same_torch(choice, lock):
                    return lock, wish
            except UnreachableError as error:
                if not places_of(wish):
                    break  # the package index itself
                silent.append(silent_place(error, wish))
            except UnresolvableError:
                continue
    if not patient or env is None:
        raise unreachable(choice, silent, first)
    try:
        return _compile(host, wished, target, work), wished
    except UnreachableError as error:
        raise unreachable(choice, silent, error) from None


def _newest(host: Host, choice: Choice, target: Target, work: Path) -> list[dict[str, Any]]:
    """The newest wheels of the packages asked for, each by itself; empty where the index does not answer."""
    names = [match.group() for line in choice.requirements if (match := _NAME.match(line))]
    own = {one.package for one in choice.indexes}
    folder = work / "newest"
    folder.mkdir(exist_ok=True)
    wish = Wish(lines=tuple(name for name in names if name != "torch" and name not in own), sources=("--no-deps",))
    found: list[dict[str, Any]] = []
    with contextlib.suppress(EnvcheckError):  # then there is nothing to compare with; the resolution itself speaks
        found = _compile(host, wish, target, folder, uv.IMPATIENT).get("packages", [])
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


def _compile(
    host: Host, wish: Wish, target: Target, work: Path, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    lock = work / "pylock.toml"
    lock.unlink(missing_ok=True)
    options = ["--quiet", "--no-header", "--generate-hashes", "--only-binary", ":all:"]
    # Our own interpreter serves to resolve for any version; uv would look for one of that version first.
    options += [
        "--python",
        sys.executable,
        "--python-version",
        target.python,
        *(("--python-platform", target.platform) if target.platform else ()),
    ]
    files = ("--format", "pylock.toml", "--output-file", str(lock), str(_written(wish, work)))
    failed = "No versions were chosen"
    try:
        uv.call(host, "pip", "compile", *options, *wish.torch, *wish.sources, *files, failed=failed, env=env)
    except UnreachableError:
        raise
    except EnvcheckError as error:
        words = str(error).removeprefix(f"{failed}: ").removeprefix("error: ")
        raise UnresolvableError(words.removeprefix("No solution found when resolving dependencies cause: ")) from None
    return tomllib.loads(lock.read_text(encoding="utf-8"))


def _written(wish: Wish, work: Path) -> Path:
    """The file uv reads. Only a project file can say that one package comes from one index, and nothing else does."""
    if not wish.own:
        path = work / "requirements.in"
        path.write_text("".join(f"{line}\n" for line in wish.lines), encoding="utf-8")
        return path
    path = work / "pyproject.toml"
    path.write_text(project_of(wish.lines, wish.own), encoding="utf-8")
    return path


def _quoted(value: str | list[str]) -> str:
    """As TOML writes it: its strings and lists of them are those of JSON."""
    return msgspec.json.encode(value).decode()


def project_of(lines: Sequence[str], own: Sequence[OwnIndex]) -> str:
    """A project file with these requirements, whose `own` packages come from an index that serves nothing else."""
    text = ["[project]", 'name = "this-plan"', 'version = "0"', f"dependencies = {_quoted(list(lines))}"]
    text += ["", "[tool.uv.sources]", *(f'{one.package} = {{ index = "of-{one.package}" }}' for one in own)]
    for one in own:
        named = [f'name = "of-{one.package}"', f"url = {_quoted(one.url)}", "explicit = true"]
        text += ["", "[[tool.uv.index]]", *named]
    return "\n".join(text) + "\n"


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
