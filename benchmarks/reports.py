"""How long reports take: every format of one, and one merged from many. Prints a table; asserts nothing.

python benchmarks/reports.py [--machines 1000]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from envcheck import main_job  # noqa: E402
from envcheck.compose.report import compose  # noqa: E402
from envcheck.discover import names  # noqa: E402
from envcheck.formats import render  # noqa: E402
from envcheck.machine_files import read_assumption  # noqa: E402
from envcheck.schema.report import Report  # noqa: E402

MACHINE = ROOT / "tests" / "machines" / "h100-slurm-node.toml"


def one() -> Report:
    """The report about one machine, its parts timed."""
    began = time.perf_counter()
    subject = main_job.subject_of(read_assumption(MACHINE))
    judged = time.perf_counter()
    report = compose(subject, main_job.header(None, "", "", "2026-11-21T00:00:00+00:00", ""))
    print(f"judge and fit     {1000 * (judged - began):8.1f} ms (first time, with imports)")
    print(f"compose           {1000 * (time.perf_counter() - judged):8.1f} ms")
    return report


def formats(report: Report) -> None:
    """Median of five renderings per format, and of all together."""
    total = 0.0
    for name in names("envcheck.formats"):
        times = []
        for _ in range(5):
            began = time.perf_counter()
            text = render(report, name)
            times.append(time.perf_counter() - began)
        total += median(times)
        print(f"{name:<17} {1000 * median(times):8.1f} ms  {len(text) / 1024:8.0f} KiB")
    print(f"all formats       {1000 * total:8.1f} ms")


def merged(report: Report, machines: int) -> None:
    """Wall time and peak memory of `envcheck report` over many files, in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        text = render(report, "json")
        for number in range(machines):
            (Path(folder) / f"{number}.json").write_text(text, encoding="utf-8")
        before = 0.0
        for name in ("markdown", "html", "json"):
            output = str(Path(folder) / f"merged.{name}")
            files = [str(path) for path in Path(folder).glob("[0-9]*.json")]
            argv = [sys.executable, "-m", "envcheck", "report", *files, "--format", name, "-o", output]
            began = time.perf_counter()
            subprocess.run(argv, cwd=ROOT, check=False)
            wall = time.perf_counter() - began
            spent = resource.getrusage(resource.RUSAGE_CHILDREN)
            busy, before = spent.ru_utime + spent.ru_stime - before, spent.ru_utime + spent.ru_stime
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            took = f"{wall:6.2f} s ({busy:5.2f} s of processor)"
            print(f"{machines} machines, {name:<9} {took}  peak so far {peak:6.0f} MiB")


def main() -> None:
    """Time everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=1000)
    arguments = parser.parse_args()
    report = one()
    formats(report)
    merged(report, arguments.machines)


if __name__ == "__main__":
    main()
