"""How long the preflight takes, against what it is compared with.

    python benchmarks/preflight.py [--rounds N] [--llmfit PATH] [--torch-python PATH]

Commands take turns, A B C A B C …, so that a machine that slows down slows all of them; figures are medians over the
rounds and ratios of medians. `llmfit` (PyPI) and a Python with torch are measured where they are found, and left out
with a word where they are not. Prints where the time goes, per probe, last.
"""

from __future__ import annotations

import argparse
import compileall
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def seconds(argv: list[str]) -> float:
    """Wall time of one whole process."""
    started = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, check=False)
    return time.perf_counter() - started


def has_torch(python: str) -> bool:
    """Whether that interpreter can import torch."""
    return subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0


def commands(llmfit: str | None, torch_python: str) -> dict[str, list[str]]:
    """What takes turns, by name."""
    envcheck = shutil.which("envcheck", path=str(Path(sys.executable).parent)) or "envcheck"
    found = {
        "pass": [sys.executable, "-c", "pass"],
        "click": [sys.executable, "-c", "import click"],
        "check": [envcheck, "check", "--format", "json"],
    }
    if llmfit:
        found["llmfit system"] = [llmfit, "system"]
    if has_torch(torch_python):
        found["collect_env"] = [torch_python, "-m", "torch.utils.collect_env"]
    return found


def measure(found: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Seconds per command and round, after one round that does not count. collect_env is slow: every fifth round."""
    samples: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(rounds + 1):
        for name, argv in found.items():
            if name == "collect_env" and turn % 5 != 1:
                continue
            took = seconds(argv)
            if turn > 0:
                samples[name].append(took)
        print(f"\rround {turn}/{rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return samples


def per_probe(rounds: int) -> dict[str, float]:
    """Median milliseconds of each probe's collection and of parsing all, in this process."""
    sys.path.insert(0, str(ROOT))
    from envcheck import look
    from envcheck.host import Host

    took: dict[str, list[float]] = {}
    for _ in range(rounds):
        file, timings = look.collect(Host())
        started = time.perf_counter()
        look.parse(file)
        took.setdefault("(parse all)", []).append(time.perf_counter() - started)
        for timing in timings:
            took.setdefault(timing.section, []).append(timing.seconds)
    return {name: statistics.median(values) * 1000 for name, values in took.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--llmfit", default=shutil.which("llmfit"))
    parser.add_argument("--torch-python", default=sys.executable)
    options = parser.parse_args()
    # As in an installed wheel: a checkout that was never compiled would measure Python's compiler.
    compileall.compile_dir(ROOT / "envcheck", quiet=1)
    samples = measure(commands(options.llmfit, options.torch_python), options.rounds)
    medians = {name: statistics.median(values) for name, values in samples.items() if values}
    print(f"{'command':16} {'median ms':>10} {'min':>8} {'max':>8} {'runs':>5}")
    for name, values in samples.items():
        if values:
            low, high = min(values) * 1000, max(values) * 1000
            print(f"{name:16} {medians[name] * 1000:10.1f} {low:8.1f} {high:8.1f} {len(values):5}")
    print()
    for name, wanted in (("pass", "at most 10"), ("llmfit system", "at most 1.0"), ("collect_env", "at most 0.04")):
        if name in medians:
            print(f"check / {name}: {medians['check'] / medians[name]:.2f} ({wanted})")
        else:
            print(f"check / {name}: not measured, {name} was not found")
    print("\nper probe, median ms of collecting:")
    for name, milliseconds in sorted(per_probe(9).items(), key=lambda item: -item[1]):
        print(f"  {name:14} {milliseconds:7.2f}")


if __name__ == "__main__":
    main()
