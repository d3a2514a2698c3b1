"""Wall time of `envcheck install PROFILE...` against uv and pip with the very same lock.

    python benchmarks/install_speed.py [--rounds 3] [--cold-rounds 1] [--profiles NAME...] [--no-pip] [--line MBIT]

Fresh target each time, interleaved, medians. "warm" means that every wheel is in the tool's cache, "cold" that it
is new. envcheck decides, builds beside, verifies RECORD, runs `uv pip check`, imports every package and waits for the
disk; uv and pip only install. Rows:

    uv                       `uv venv` and `uv pip install` of the lock
    uv, byte code            the same with `--compile-bytecode`: what an environment needs that starts as fast as
                             one whose packages were imported
    imports                  `python -c "import …"` of the same modules in an environment that uv has just made
    bound                    uv, and the processor seconds of those imports (one process, no garbage collection, no
                             end of the interpreter) over the processors: with less a first installation that imports
                             cannot be had
    envcheck, first          no earlier installation of these files is remembered: everything is imported
    envcheck, again          the very same files (inodes) were found sound here before; imports are not repeated
    envcheck, nothing to do  the target is what was asked for already

`--line 100` adds cold rounds behind an index on this machine that is no faster than 100 Mbit/s.

Needs an index.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.slow_index import index  # noqa: E402

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


def processor_seconds(python: Path, names: list[str]) -> float:
    """What importing `names` one after another takes of one processor, byte code included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        argv = [python, "-I", ROOT / "envcheck" / "install" / "_import_child.py", folder, "front", *names]
        process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        if process.wait() != 0 or process.stdin is None:
            raise SystemExit(f"{names} do not import")
        process.stdin.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


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
        """A first installation, one of the same files elsewhere, and one with nothing to do."""
        target, other, kept = self.target(), self.target(), self.folder / f"kept-{self.number}"
        env = {"UV_CACHE_DIR": str(cache), "XDG_CACHE_HOME": str(kept)}
        argv: tuple[str | Path, ...] = (*ENVCHECK, "install", *self.profiles, "--yes", "--target")
        found = {"envcheck, first": timed(*argv, target, **env)}
        found["envcheck, again"] = timed(*argv, other, **env)
        found["envcheck, nothing to do"] = timed(*argv, other, **env)
        for folder in (target, other, kept):
            shutil.rmtree(folder)
        return found

    def uv(self, cache: Path) -> dict[str, float]:
        """`uv venv` and `uv pip install` of the lock; the imports by themselves."""
        target = self.target()
        took = self.uv_once(target, cache)
        alone = timed(target / "bin" / "python", "-I", "-c", "import " + ", ".join(self.imports))
        shutil.rmtree(target)
        self.uv_once(target, cache)
        bound = took + processor_seconds(target / "bin" / "python", self.imports) / (os.cpu_count() or 1)
        shutil.rmtree(target)
        return {"uv": took, "imports": alone, "bound": bound}

    def uv_compiled(self, cache: Path) -> dict[str, float]:
        """The same with byte code for every module."""
        target = self.target()
        took = self.uv_once(target, cache, "--compile-bytecode")
        shutil.rmtree(target)
        return {"uv, byte code": took}

    def uv_once(self, target: Path, cache: Path, *more: str) -> float:
        """An environment with the lock's packages; its wall time in seconds."""
        env = {"UV_CACHE_DIR": str(cache)}
        took = timed(UV, "venv", "-q", "--python", sys.executable, target, **env)
        install: tuple[str | Path, ...] = (UV, "pip", "install", "-q", *more, "--require-hashes", "-r", self.lock)
        return took + timed(*install, "--python", target / "bin" / "python", **env)

    def pip(self, cache: Path) -> dict[str, float]:
        """`python -m venv` and `pip install` of the lock."""
        target = self.target()
        took = timed(sys.executable, "-m", "venv", target)
        install = ("-m", "pip", "install", "-q", "--cache-dir", cache, "--only-binary", ":all:", "--require-hashes")
        took += timed(target / "bin" / "python", *install, "-r", self.lock)
        shutil.rmtree(target)
        return {"pip": took}

    def rounds(self, count: int, cold: bool, pip: bool) -> dict[str, list[float]]:
        """Every tool once per round, in turn."""
        found: dict[str, list[float]] = {}
        tools = [("uv", self.uv), ("uv-compiled", self.uv_compiled), ("envcheck", self.envcheck)]
        for number in range(count):
            for name, tool in [*tools, *([("pip", self.pip)] if pip else [])]:
                shared = self.folder / ("warm-pip" if name == "pip" else "warm")
                cache = self.folder / f"cold-{name}-{number}" if cold else shared
                for label, took in tool(cache).items():
                    # After its first installation a cache is no longer cold.
                    if not (cold and label in ("envcheck, again", "envcheck, nothing to do")):
                        found.setdefault(label, []).append(took)
                if cold:
                    shutil.rmtree(cache, ignore_errors=True)
        return found


def show(title: str, found: dict[str, list[float]]) -> None:
    """Medians, and what they are of uv's and pip's."""
    middle = {label: statistics.median(each) for label, each in found.items()}
    print(title)
    for label, each in found.items():
        against = f"{middle[label] / middle['uv']:6.2f} x uv"
        print(f"  {label:24} {middle[label]:6.2f} s {against}   ({', '.join(f'{one:.2f}' for one in each)})")
    first = middle["envcheck, first"]
    print(f"  envcheck, first / (uv + imports) = {first / (middle['uv'] + middle['imports']):.2f}", end="")
    print(f", / bound = {first / middle['bound']:.2f}", end="")
    print(f", pip / envcheck, first = {middle['pip'] / first:.2f}" if "pip" in middle else "")


def main() -> None:
    """Race warm and cold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold-rounds", type=int, default=1)
    parser.add_argument("--profiles", nargs="+", default=["web", "vector", "data"])
    parser.add_argument("--no-pip", action="store_true")
    parser.add_argument("--line", type=float, help="Mbit/s of an index on this machine for more cold rounds.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        race = Race(Path(folder), options.profiles)
        if not options.no_pip:
            race.pip(Path(folder) / "warm-pip")  # fills pip's cache
        print(f"{' '.join(options.profiles)}: {race.packages} packages; load average {os.getloadavg()[0]:.1f}")
        show(f"warm cache, medians of {options.rounds}", race.rounds(options.rounds, False, not options.no_pip))
        if options.cold_rounds:
            cold = race.rounds(options.cold_rounds, True, not options.no_pip)
            show(f"cold cache, medians of {options.cold_rounds}", cold)
        if options.line:
            wheels = Path(folder) / "wheels"
            fetch = ("-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--require-hashes")
            timed(sys.executable, *fetch, "-d", wheels, "-r", race.lock)
            with index(wheels, options.line) as address:
                os.environ["UV_DEFAULT_INDEX"] = address
                behind = race.rounds(options.cold_rounds or 1, True, False)
            show(f"cold cache behind {options.line:g} Mbit/s, medians of {options.cold_rounds or 1}", behind)


if __name__ == "__main__":
    main()
