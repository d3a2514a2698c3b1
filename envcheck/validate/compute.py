"""Does every GPU compute right, and how near to what its product can do: run in the target interpreter.

The arithmetic itself is `_compute_worker.py`, a program of its own that needs only torch; this module starts it, makes
records of its lines, and sets them against the hardware table.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from envcheck import hardware
from envcheck.child import Child
from envcheck.schema.backend import Progress
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.run import ComputeRun

if TYPE_CHECKING:
    from envcheck.host import Host

WORKER = Path(__file__).with_name("_compute_worker.py")
LIMIT_S = 300.0
SLOW = 0.5
"""A device that reaches less than this part of its product's figure is degraded: what throttling, a wrong slot or a
shared card leave, while a healthy one reaches 0.75 or more of its copy bandwidth and matrix rate."""


def compute(host: Host, progress: Progress, limit_s: float = LIMIT_S) -> tuple[ComputeRun, ...]:
    """All measurements of all devices. Ctrl-C keeps those that are done; a crash is named with what ran then."""
    try:
        child = Child([host.target_python, WORKER.name], host.env, label="the compute worker", files=(WORKER,))
    except EnvcheckError as error:
        return (ComputeRun(id="compute", status="skipped", says=str(error)),)
    reader = Reader()
    deadline = time.monotonic() + limit_s
    try:
        while not reader.done:
            line = child.line(deadline - time.monotonic())
            if line is None:
                why = f"{child.ended}" if child.wait_ended(0.2) else f"nothing more after {limit_s:g} s"
                reader.broke(why, child.log())
                break
            reader.take(line[1], progress)
    except KeyboardInterrupt:
        reader.broke("interrupted by Ctrl-C", "")
    finally:
        child.stop()
    return tuple(reader.runs)


class Reader:
    """Turns the worker's lines into records."""

    def __init__(self) -> None:
        self.runs: list[ComputeRun] = []
        self.done = False
        self._begun = ""
        self._device = ""
        self._row: Any = None

    def take(self, raw: bytes, progress: Progress) -> None:
        """One line; what is not one of the worker's is passed over."""
        try:
            line: Any = json.loads(raw)
        except ValueError:
            return
        if not isinstance(line, dict):
            return
        if line.get("done"):
            self.done = True
        elif "name" in line:
            self._device, self._row = str(line.get("device")), hardware.find(str(line["name"]), line.get("memory_mib"))
        elif "begins" in line:
            self._begun = str(line["begins"]).replace("_", " ")
            progress(f"{self._device}: {self._begun}")
        elif "id" in line:
            self.runs.append(self._compared(_record(line)))

    def broke(self, why: str, log: str) -> None:
        """The worker ended before it was done."""
        if "No module named 'torch'" in log:
            self.runs.append(ComputeRun(id="compute", status="skipped", says="the target environment has no torch"))
            return
        during = f" during {self._begun} on {self._device}" if self._begun else " before it began"
        status: Any = "skipped" if "interrupted" in why else "failed"
        self.runs.append(ComputeRun(id="compute", status=status, device=self._device, says=f"{why}{during}"))

    def _compared(self, run: ComputeRun) -> ComputeRun:
        """Set against the product's own figure where the table has one."""
        figure, unit, seen = None, "", None
        if self._row is not None and run.id == "memory.copy":
            figure, unit, seen = self._row.bandwidth_gbs, "GB/s", run.bandwidth_gbs
        elif self._row is not None and run.id in ("matmul.bf16", "matmul.fp16"):
            figure, unit, seen = self._row.fp16_matrix_tflops, "TFLOP/s", run.tflops
        if not figure or seen is None:
            return run
        share = seen / figure
        says = f"{share:.0%} of the {figure:g} {unit} of {self._row.name}; {run.says}"
        status: Any = "degraded" if run.status == "passed" and share < SLOW else run.status
        return msgspec.structs.replace(run, says=says, status=status)


def _record(line: dict[str, Any]) -> ComputeRun:
    figures = {
        name: round(float(value), 12) if name in ("error", "bound") else round(float(value), 3)
        for name in ("error", "bound", "tflops", "bandwidth_gbs")
        if isinstance(value := line.get(name), int | float) and value == value and abs(value) != float("inf")
    }
    status = line.get("status") if line.get("status") in ("passed", "degraded", "failed", "skipped") else "failed"
    return ComputeRun(
        id=str(line["id"]),
        status=status,  # type: ignore[arg-type]
        device=str(line.get("device", "")),
        says=str(line.get("says", ""))[:400],
        **figures,
    )
