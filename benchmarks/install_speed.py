"""Wall time of `envcheck install PROFILE...` against uv and pip with the very same lock.

    python benchmarks/install_speed.py [--rounds 3] [--cold-rounds 1] [--profiles web vector data]

Fresh target each time, interleaved, medians. "warm" means that every wheel is in the tool's cache, "cold" that it
is new. envcheck decides, resolves, builds beside, verifies RECORD, runs `uv pip check`, imports every package and waits
for the disk; uv and pip only install. `imports` is what the import of the same modules takes by itself in an
environment that uv has just made, which is the part of envcheck's work that cannot be had for less. Needs an index.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = str(Path(sys.executable).parent / "uv")
ENVCHECK = [sys.executable, "-m", "envcheck"]


def timed(*argv: str | Path, **variables: str) -> float:
    """Run a program to its end; its wall time in seconds."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    started = time.perf_counter()
    done = subprocess.run(list(map(str, argv)), env=env, capture_output=True, text=True, check=False)
    took = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{argv[:4]} failed: {done.stderr[-800:]}")
    return took


class Race:
    """One folder with the lock, the caches and the targets."""

    def __init__(self, folder: Path, profiles: list[str]) -> None:
        self.folder = folder
        self.profiles = profiles
        self.number = 0
        first = self.target()
        timed(*ENVCHECK, "install", *profiles, "--target", first, "--yes", UV_CACHE_DIR=str(folder / "warm"))
        receipt = json.loads((first / "current" / ".envcheck-receipt.json").read_text())
        self.lock = folder / "lock.txt"
        self.lock.write_text(receipt["lock"])
        self.imports = receipt["choice"]["imports"]
        self.packages = len(receipt["packages"])
        shutil.rmtree(first)

    def target(self) -> Path:
        """A path that does not exist yet."""
        self.number += 1
        return self.folder / f"target-{self.number}"

    def envcheck(self, cache: Path) -> dict[str, float]:
        """A first installation, and the same again (nothing to do)."""
        target = self.target()
        argv: tuple[str | Path, ...] = (*ENVCHECK, "install", *self.profiles, "--target", target, "--yes")
        found = {"envcheck": timed(*argv, UV_CACHE_DIR=str(cache))}
        found["envcheck, nothing to do"] = timed(*argv, UV_CACHE_DIR=str(cache))
        shutil.rmtree(target)
        return found

    def uv(self, cache: Path) -> dict[str, float]:
        """`uv venv` and `uv pip install` of the lock."""
        target = self.target()
        env = {"UV_CACHE_DIR": str(cache)}
        took = timed(UV, "venv", "-q", "--python", sys.executable, target, **env)
        python = target / "bin" / "python"
        took += timed(UV, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", self.lock, **env)
        alone = timed(python, "-I", "-c", "import " + ", ".join(self.imports))
        shutil.rmtree(target)
        return {"uv": took, "imports": alone}

    def pip(self, cache: Path) -> dict[str, float]:
        """`python -m venv` and `pip install` of the lock."""
        target = self.target()
        took = timed(sys.executable, "-m", "venv", target)
        install = ("-m", "pip", "install", "-q", "--cache-dir", cache, "--only-binary", ":all:", "--require-hashes")
        took += timed(target / "bin" / "python", *install, "-r", self.lock)
        shutil.rmtree(target)
        return {"pip": took}

    def rounds(self, count: int, cold: bool) -> dict[str, list[float]]:
        """Every tool once per round, in turn."""
        found: dict[str, list[float]] = {}
        for number in range(count):
            for name, tool in (("uv", self.uv), ("envcheck", self.envcheck), ("pip", self.pip)):
                shared = self.folder / ("warm-pip" if name == "pip" else "warm")
                cache = self.folder / f"cold-{name}-{number}" if cold else shared
                for label, took in tool(cache).items():
                    found.setdefault(label, []).append(took)
                if cold:
                    shutil.rmtree(cache, ignore_errors=True)
        return found


def show(title: str, found: dict[str, list[float]]) -> None:
    """Medians and ratios of one kind of round."""
    middle = {label: statistics.median(each) for label, each in found.items()}
    print(title)
    for label, each in found.items():
        print(f"  {label:24} {middle[label]:6.2f} s   ({', '.join(f'{one:.2f}' for one in each)})")
    print(f"  envcheck / uv = {middle['envcheck'] / middle['uv']:.2f}, pip / envcheck = ", end="")
    print(f"{middle['pip'] / middle['envcheck']:.2f}, ", end="")
    print(f"envcheck / (uv + imports) = {middle['envcheck'] / (middle['uv'] + middle['imports']):.2f}")


def main() -> None:
    """Race warm and cold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold-rounds", type=int, default=1)
    parser.add_argument("--profiles", nargs="+", default=["web", "vector", "data"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        race = Race(Path(folder), options.profiles)
        race.pip(Path(folder) / "warm-pip")  # fills pip's cache
        print(f"{' '.join(options.profiles)}: {race.packages} packages; load average {os.getloadavg()[0]:.1f}")
        show(f"warm cache, medians of {options.rounds}", race.rounds(options.rounds, cold=False))
        show(f"cold cache, medians of {options.cold_rounds}", race.rounds(options.cold_rounds, cold=True))


if __name__ == "__main__":
    main()
