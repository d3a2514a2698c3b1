"""Damage environments at random and see whether `envcheck verify` notices; time it against `sha256sum`.

    python benchmarks/verify_damage.py [--rounds 500] [--distributions 300] [--files 200] [--seed 1]

The environment is synthetic: wheels of many small modules, installed by uv. Each round does one random damage to one
random package (deletes, truncates or edits a file, adds a foreign one, drops a line of RECORD), asks
`envcheck.verify` and puts the file back. Then the clean environment is compared once more, and timed by existence and
size, and by content, against `sha256sum` over the same files.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from envcheck.host import Host  # noqa: E402
from envcheck.verify import Inspection, verify  # noqa: E402
from tests.install.wheels import wheel  # noqa: E402

EXPECTED = {
    "deleted": {"missing"},
    "truncated": {"truncated"},
    "edited": {"changed"},
    "grown": {"changed"},
    "foreign": {"foreign"},
    "RECORD line lost": {"foreign"},
}
"""Damage done to the kinds of finding that count as having seen it."""


def environment(folder: Path, distributions: int, files: int) -> Path:
    """An environment of so many synthetic distributions, each of so many modules; its site-packages is returned."""
    uv = str(Path(sys.executable).parent / "uv")
    wheels = [wheel(folder / "wheels", f"part{n:03}", "1.0", files=files, size=1500) for n in range(distributions)]
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder / "env")], check=True)
    lines = folder / "all.txt"
    lines.write_text("".join(f"{path}\n" for path in wheels))
    # Copies, because a damage must not reach the cache that other packages are linked to.
    target = ["--python", str(folder / "env" / "bin" / "python")]
    install = [uv, "pip", "install", "-q", "--no-deps", "--link-mode", "copy", "--no-index", *target, "-r", str(lines)]
    subprocess.run(install, check=True, env={**os.environ, "UV_CACHE_DIR": str(folder / "cache")})
    return next((folder / "env" / "lib").glob("python*/site-packages"))


def harm(site: Path, chance: random.Random, kind: str, distributions: int) -> tuple[str, Callable[[], None]]:
    """Do one damage; the package it was done to, and how to undo it."""
    name = f"part{chance.randrange(distributions):03}"
    modules = sorted((site / name).glob("part*.py"))
    path = chance.choice(modules)
    if kind == "foreign":
        stranger = site / name / f"stranger{chance.randrange(1000)}.py"
        stranger.write_text("x = 1\n")
        return name, stranger.unlink
    if kind == "RECORD line lost":
        path = site / f"{name}-1.0.dist-info" / "RECORD"
    before = path.read_bytes()
    if kind == "deleted":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(before[: chance.randrange(len(before))])
    elif kind == "edited":
        spot = chance.randrange(len(before))
        path.write_bytes(before[:spot] + bytes([before[spot] ^ (1 + chance.randrange(255))]) + before[spot + 1 :])
    elif kind == "grown":
        path.write_bytes(before + b"\n")
    else:
        lines = before.splitlines(keepends=True)
        gone = chance.choice([i for i, line in enumerate(lines) if line.startswith(f"{name}/".encode())])
        path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    return name, lambda: put_back(path, before)


def put_back(path: Path, content: bytes) -> None:
    """Write a file as it was."""
    path.write_bytes(content)


def seen(found: Inspection, package: str, kind: str) -> bool:
    """Whether the damage is among the findings, and nothing else is."""
    return {(d.package, d.kind) for d in found.damage} == {(package, k) for k in EXPECTED[kind]}


def seconds(act: Callable[[], object], times: int = 5) -> float:
    """Median wall time of an act in seconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def rounds(site: Path, host: Host, count: int, distributions: int, seed: int) -> collections.Counter[str]:
    """Damage, look, undo; how each kind fared."""
    chance = random.Random(seed)
    tally: collections.Counter[str] = collections.Counter()
    for number in range(count):
        kind = chance.choice(list(EXPECTED))
        package, undo = harm(site, chance, kind, distributions)
        found = verify(host, hashes=True)
        tally[f"{kind}: {'seen' if seen(found, package, kind) else 'NOT SEEN'}"] += 1
        undo()
        print(f"\r{number + 1}/{count}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return tally


def main() -> None:
    """Run the rounds, then time the clean environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--distributions", type=int, default=300)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--small-files", type=int, default=5, help="modules per distribution in the damage rounds")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        site = environment(Path(folder) / "small", options.distributions, options.small_files)
        host = Host(target_python=str(Path(folder) / "small" / "env" / "bin" / "python"), ports=False)
        clean = verify(host)
        tally = rounds(site, host, options.rounds, options.distributions, options.seed)
        print(f"clean: {clean.packages} packages, {clean.files} files, {len(clean.damage)} findings")
        for line, count in sorted(tally.items()):
            print(f"  {line} {count}")
        print(f"  after all was put back: {len(verify(host).damage)} findings")
        site = environment(Path(folder) / "large", options.distributions, options.files)
        host = Host(target_python=str(Path(folder) / "large" / "env" / "bin" / "python"), ports=False)
        large = verify(host)
        listed = Path(folder) / "paths"
        listed.write_bytes(b"\0".join(os.fsencode(p) for p in site.rglob("*") if p.is_file()))
        argv = ["xargs", "-0", "-a", str(listed), "sha256sum"]
        sha256 = seconds(lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL))
        sizes, hashes = seconds(lambda: verify(host, hashes=False)), seconds(lambda: verify(host, hashes=True))
        print(f"large: {large.packages} packages, {large.files} files, {large.hashed_bytes / 1e6:.0f} MB")
        print(f"  existence and size {sizes:.2f} s; hashes {hashes:.2f} s; sha256sum {sha256:.2f} s")
        print(f"  hashes / sha256sum = {hashes / sha256:.2f} (medians of 5, warm page cache)")


if __name__ == "__main__":
    main()
