"""Make `install/requirements.<profile>-<variant>.txt` anew: exact versions and hashes, and no address of any index.

All profiles are resolved together first, and each by itself within that, so that any of them can be combined. A lock
says for which systems and Pythons every package has a wheel: envcheck uses it there and resolves anywhere else.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

from envcheck.importers import assume
from envcheck.install import profiles as recipes
from envcheck.install.shipped import Fit, Line, Shipped, as_text
from envcheck.judge.decide import decide
from envcheck.schema.recipe import Choice

HERE = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
FLOORS: dict[str, tuple[str, ...]] = {
    "linux_x86_64": ("2.17", "2.28", "2.31", "2.34"),
    "linux_aarch64": ("2.17", "2.28", "2.31", "2.34"),
    "macos_arm64": ("11.0", "12.0", "13.0", "14.0"),
    "windows_x86_64": ("",),
}
"""Systems looked at, and the oldest C library or macOS that is worth a try, oldest first."""
COMPANIONS = ("web", "vector", "data", "embedded", "ollama-client", "llama-cpp")
ENVIRONMENTS = {
    "linux_x86_64": ("linux", "x86_64", "posix", "Linux"),
    "linux_aarch64": ("linux", "aarch64", "posix", "Linux"),
    "macos_arm64": ("darwin", "arm64", "posix", "Darwin"),
    "windows_x86_64": ("win32", "AMD64", "nt", "Windows"),
}


# Machines whose decision a lock is made for, by profile and variant. The variants of torch are those that the package
# index itself serves: locks name no index, and other variants are on one of their own.
LINUX = {"os": "linux", "arch": "x86_64", "glibc": "2.39", "python": "3.12.3"}
NO_GPU: dict[str, Any] = {**LINUX, "gpus": []}
APPLE: dict[str, Any] = {"os": "macos", "arch": "arm64", "python": "3.12.3", "gpus": [{"name": "Apple M3 Max"}]}
NVIDIA: dict[str, Any] = {**LINUX, "driver": "610.43.02", "gpus": [{"name": "NVIDIA GeForce RTX 5090"}]}
LOCKS: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    *((name, NO_GPU, tuple(FLOORS)) for name in COMPANIONS),
    ("transformers", APPLE, ("macos_arm64", "windows_x86_64")),
    ("transformers", NVIDIA, ("linux_x86_64", "linux_aarch64")),
)


def main() -> int:
    """Resolve, and write every lock that came to something."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        choices = [(name, systems, chosen(name, machine)) for name, machine, systems in LOCKS]
        together = compiled(work, sorted({line for _, _, choice in choices for line in choice.requirements}))
        held = [f"{row['name']}=={row['version']}" + marker_of(row) for row in together]
        for name, systems, choice in choices:
            rows = compiled(work, choice.requirements, held)
            bare = compiled(work, choice.without_dependencies, extra=("--no-deps",))
            write(name, choice.torch_backend or "any", systems, [*rows, *bare])
    return 0


def chosen(profile: str, machine: dict[str, Any]) -> Choice:
    """What is asked of the resolver for a profile on a machine."""
    snapshot = assume.to_snapshot(assume.read(json.dumps(machine), "a machine of install/refresh"))
    return decide(snapshot, recipes.load([profile])).choice


def marker_of(row: dict[str, Any]) -> str:
    """The marker of a locked package as the end of a requirement."""
    return f" ; {row['marker']}" if row.get("marker") else ""


def compiled(
    work: Path, lines: Sequence[str], held: Sequence[str] = (), extra: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """What uv resolves for every system and Python; only wheels."""
    if not lines:
        return []
    wanted, constraints, output = work / "wanted.in", work / "held.txt", work / "pylock.toml"
    wanted.write_text("".join(line.partition(" --hash")[0] + "\n" for line in lines), encoding="utf-8")
    constraints.write_text("".join(line + "\n" for line in held), encoding="utf-8")
    arguments = ("--quiet", "--universal", "--python-version", PYTHONS[0], "--only-binary", ":all:")
    files = (
        "--generate-hashes",
        "--constraint",
        str(constraints),
        "--format",
        "pylock.toml",
        "--output-file",
        str(output),
        str(wanted),
    )
    subprocess.run(["uv", "pip", "compile", "--generate-hashes", *arguments, *extra, *files], check=True)
    return list(tomllib.loads(output.read_text(encoding="utf-8"))["packages"])


def write(profile: str, variant: str, systems: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """One lock file, or a word why there is none."""
    fits = [fit for system in systems if (fit := fit_of(system, rows)) is not None]
    if not fits:
        sys.stderr.write(f"{profile}-{variant}: no system has wheels of everything\n")
        return
    places = [(fit.platform, fit.floor, python) for fit in fits for python in fit.pythons]
    with ThreadPoolExecutor(8) as pool:
        lines = [line for line in pool.map(lambda row: line_of(row, places), rows) if line is not None]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lock = Shipped(profile=profile, variant=variant, date=today, fits=tuple(fits), lines=tuple(lines))
    path = HERE / f"requirements.{profile}-{variant}.txt"
    path.write_text(as_text(lock), encoding="utf-8")
    sys.stderr.write(f"{path.name}: {len(lines)} packages, {path.stat().st_size // 1024} KiB\n")


def fit_of(system: str, rows: Sequence[dict[str, Any]]) -> Fit | None:
    """The oldest floor and the Pythons for which every package has a wheel on this system."""
    for floor in FLOORS[system]:
        pythons = tuple(
            p for p in PYTHONS if all(not applies(row, system, p) or wheels(row, system, floor, p) for row in rows)
        )
        if pythons:
            return Fit(platform=system, floor=floor, pythons=pythons)
    return None


def line_of(row: dict[str, Any], places: Sequence[tuple[str, str, str]]) -> Line | None:
    """The locked package with the hashes of every wheel that one of the places could take."""
    here = [place for place in places if applies(row, place[0], place[2])]
    files = {file["hashes"]["sha256"]: file for place in here for file in wheels(row, *place)}
    if not files:
        return None
    return Line(
        name=row["name"],
        version=row["version"],
        marker=row.get("marker", "") if len(here) < len(places) else "",
        only=tuple(f"{system}/{python}" for system, _, python in here) if len(here) < len(places) else (),
        size_bytes=size_of(wheels(row, *here[0])[0]),
        hashes=tuple(sorted(files)),
    )


def applies(row: dict[str, Any], system: str, python: str) -> bool:
    """Whether a package belongs to an environment on this system."""
    platform, machine, os_name, name = ENVIRONMENTS[system]
    known = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": platform,
        "platform_machine": machine,
        "os_name": os_name,
        "platform_system": name,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    return not row.get("marker") or Marker(row["marker"]).evaluate(known)


def wheels(row: dict[str, Any], system: str, floor: str, python: str) -> list[dict[str, Any]]:
    """The wheels of a package that this system takes, the best first."""
    ranked = {tag: rank for rank, tag in enumerate(tags(system, floor, python))}
    found = []
    for file in row.get("wheels", []):
        name = file.get("name") or file["url"].rsplit("/", 1)[-1]
        ranks = [ranked[tag] for tag in parse_wheel_filename(name.replace("%2B", "+"))[3] if tag in ranked]
        if ranks:
            found.append((min(ranks), name, file))
    return [file for _, _, file in sorted(found, key=lambda each: each[:2])]


def tags(system: str, floor: str, python: str) -> list[Tag]:
    """The tags of CPython `python` on a system, the most specific first."""
    version = tuple(map(int, python.split(".")))
    platforms = list(platforms_of(system, floor))
    interpreter = f"cp{python.replace('.', '')}"
    return [*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)]


def platforms_of(system: str, floor: str) -> Iterator[str]:
    """Platform tags that a system accepts, newest first."""
    if system.startswith("linux"):
        arch = system.removeprefix("linux_")
        older = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        for minor in range(int(floor.split(".")[1]), 4, -1):
            yield f"manylinux_2_{minor}_{arch}"
            if minor in older:
                yield f"{older[minor]}_{arch}"
        yield f"linux_{arch}"
    elif system == "macos_arm64":
        yield from mac_platforms((int(floor.split(".")[0]), 0), "arm64")
    else:
        yield "win_amd64"


def size_of(file: dict[str, Any]) -> int | None:
    """Bytes of a wheel: what the index states, else what its server says."""
    if isinstance(file.get("size"), int):
        return int(file["size"])
    request = urllib.request.Request(file["url"], method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, TypeError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(main())
