"""How long the preflight takes, against what it is compared with.

    python benchmarks/preflight.py [--rounds N] [--llmfit PATH] [--torch-python PATH] [--target PYTHON]

Commands take turns, A B C A B C …, so that a machine that slows down slows all of them; figures are medians over the
rounds, and ratios are medians of the ratios within a round. `llmfit` (PyPI) and a Python with torch are measured where
they are found, and left out with a word where they are not. Made on the spot: an environment of 300 distributions, a
folder with ten environments, and, with a C compiler, the stand-in for NVML with eight GPUs. `--target` is one more
environment to look at (one with torch, say). Prints where the time goes, per probe, last.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

H100 = "NVIDIA H100 80GB HBM3|81559|9|0|2330|0"
ROOT = Path(__file__).resolve().parent.parent


class Command(NamedTuple):
    """What takes its turn."""

    argv: list[str]
    env: dict[str, str] = {}  # noqa: RUF012  never changed
    folder: Path = ROOT


def seconds(command: Command) -> float:
    """Wall time of one whole process."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | command.env
    env["PYTHONPATH"] = str(ROOT)  # whatever the caller wrote may lead elsewhere from another folder
    started = time.perf_counter()
    subprocess.run(
        command.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=command.folder, env=env, check=False
    )
    return time.perf_counter() - started


def has_torch(python: str) -> bool:
    """Whether that interpreter can import torch."""
    return subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0


def commands(options: argparse.Namespace, folder: Path) -> dict[str, Command]:
    """What takes turns, by name; `folder` is for what is made on the spot."""
    installed = shutil.which("envcheck", path=str(Path(sys.executable).parent))
    check = [*([installed] if installed else [sys.executable, "-m", "envcheck"]), "check", "--format", "json"]
    found = {
        "pass": Command([sys.executable, "-c", "pass"]),
        "click": Command([sys.executable, "-c", "import click"]),
        "check": Command(check),
        "300 distributions": Command([*check, "--python", environment(folder / "one", 300)]),
        "ten environments": Command(check, folder=folder / "ten"),
    }
    for n in range(10):
        environment(folder / "ten" / f"venv{n}", 30)
    if library := fake_nvml(folder / "nvml"):
        gpus = {"LD_LIBRARY_PATH": str(library), "FAKE_NVML_GPUS": ";".join([H100] * 8), "FAKE_NVML_CUDA": "13000"}
        found["eight GPUs"] = Command(check, gpus)
    if options.target:
        found["target"] = Command([*check, "--python", options.target])
    if options.llmfit:
        found["llmfit system"] = Command([options.llmfit, "system"])
    if has_torch(options.torch_python):
        found["collect_env"] = Command([options.torch_python, "-m", "torch.utils.collect_env"])
    return found


def environment(prefix: Path, distributions: int) -> str:
    """A virtual environment with that many distributions of three files each; returns its interpreter."""
    site = prefix / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True)
    version = ".".join(map(str, sys.version_info[:3]))
    (prefix / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\nversion = {version}\n")
    for n in range(distributions):
        name, written = f"package{n:03}", site / f"package{n:03}-1.{n}.dist-info"
        written.mkdir()
        (written / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.{n}\n\n")
        (written / "RECORD").write_text(f"{name}.py,,\n{written.name}/METADATA,,\n{written.name}/RECORD,,\n")
        (site / f"{name}.py").touch()
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python").symlink_to(sys.executable)
    return str(prefix / "bin" / "python")


def fake_nvml(folder: Path) -> Path | None:
    """Folder of the compiled stand-in for NVML's library; None without a C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    folder.mkdir()
    source = ROOT / "tests" / "fakes" / "fake_nvml.c"
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return folder


def measure(found: dict[str, Command], rounds: int) -> dict[str, list[float]]:
    """Seconds per command and round, after one round that does not count. collect_env is slow: every fifth round."""
    samples: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(rounds + 1):
        for name, command in found.items():
            if name == "collect_env" and turn % 5 != 1:
                continue
            took = seconds(command)
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


RATIOS = (
    ("check", "pass", "at most 10"),
    ("check", "llmfit system", "at most 1.0"),
    ("check", "collect_env", "at most 0.04"),
    ("300 distributions", "pass", "at most 10"),
    ("300 distributions", "llmfit system", "at most 1.0"),
    ("ten environments", "pass", "at most 10"),
    ("eight GPUs", "check", "at most 1.5"),
    ("target", "pass", "at most 10"),
    ("target", "llmfit system", "at most 1.0"),
)


def ratio(samples: dict[str, list[float]], one: str, other: str, wanted: str) -> str:
    """How many times as long `one` took as `other`: the median over rounds, and the middle half of them."""
    if not samples.get(one) or not samples.get(other):
        return f"{one} / {other}: not measured"
    pairs = zip(samples[one], samples[other], strict=False)
    found = sorted(took / base for took, base in pairs)
    low, high = found[len(found) // 4], found[-1 - len(found) // 4]
    return f"{one} / {other}: {statistics.median(found):.2f}, middle half {low:.2f} to {high:.2f} ({wanted})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--llmfit", default=shutil.which("llmfit"))
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--target", help="Interpreter of one more environment to look at.")
    options = parser.parse_args()
    # As in an installed wheel: a checkout that was never compiled would measure Python's compiler.
    compileall.compile_dir(ROOT / "envcheck", quiet=1)
    with tempfile.TemporaryDirectory(prefix="envcheck-preflight-") as folder:
        samples = measure(commands(options, Path(folder)), options.rounds)
    print(f"{'command':18} {'median ms':>10} {'min':>8} {'max':>8} {'runs':>5}")
    for name, values in samples.items():
        if values:
            middle, low, high = (f(values) * 1000 for f in (statistics.median, min, max))
            print(f"{name:18} {middle:10.1f} {low:8.1f} {high:8.1f} {len(values):5}")
    print()
    for one, other, wanted in RATIOS:
        print(ratio(samples, one, other, wanted))
    print("\nper probe, median ms of collecting:")
    for name, milliseconds in sorted(per_probe(9).items(), key=lambda item: -item[1]):
        print(f"  {name:14} {milliseconds:7.2f}")


if __name__ == "__main__":
    main()
