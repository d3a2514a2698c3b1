"""This machine's own speed: what its earlier runs measured, held against what was predicted of them.

Nothing is stored for it: the reports that `envcheck run` keeps are the memory. A run counts when it was made on the
same GPUs and the same processor and nothing is proved to have been wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from envcheck.alias import alias
from envcheck.fit.speed import learn
from envcheck.report_files import read_result
from envcheck.schema.errors import InputError
from envcheck.schema.facts import value_of
from envcheck.schema.fit import Calibration, Residual
from envcheck.schema.report import Report
from envcheck.schema.run import Run, Validation
from envcheck.schema.snapshot import Snapshot

REPORTS = Path("reports")
"""Where `envcheck run` keeps its reports unless told otherwise."""


def learned(paths: Sequence[Path], snapshot: Snapshot) -> tuple[Calibration, ...]:
    """One factor per kind of device, from the files named, else from every report under `reports/`.

    Raises InputError where no run of this machine carries both a prediction and a measurement.
    """
    files = list(paths) or sorted(REPORTS.glob("*/report.json"))
    runs = [run for path in files for run in _runs(path, snapshot)]
    found = []
    for device in ("gpu", "cpu"):
        residuals = tuple(one for run in runs if (one := _residual(run)) is not None and one.device == device)
        if residuals:
            found.append(Calibration(device=device, factor=learn([r.ratio for r in residuals]), residuals=residuals))
    if not found:
        where = ", ".join(map(str, paths)) if paths else f"{REPORTS}/*/report.json"
        raise InputError(
            f"No run of this machine in {where} carries a predicted and a measured speed: make one with "
            "`envcheck run`, or name a file with --calibrate-from."
        )
    return tuple(found)


def _runs(path: Path, snapshot: Snapshot) -> tuple[Run, ...]:
    """The runs of one file that were made on this machine; all of them in a validation, which does not say where."""
    result = read_result(path)
    if isinstance(result, Validation):
        return result.runs
    subjects = result.subjects if isinstance(result, Report) else (result,)
    return tuple(
        run
        for subject in subjects
        if subject.validation is not None and same_machine(subject.snapshot, snapshot)
        for run in subject.validation.runs
    )


def same_machine(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots are of the same GPUs and processor, as far as both say."""
    return alias(one) == alias(other) and value_of(one.cpu.name) == value_of(other.cpu.name)


def _residual(run: Run) -> Residual | None:
    """Measured over predicted; None without both, or where a fault of that run is proved."""
    decode = next((row for row in run.reconciled if row.quantity == "decode speed"), None)
    if decode is None or not decode.measured or not decode.predicted:
        return None
    if run.status == "failed" or (run.slow and any(reason.proved for reason in run.slow.reasons)):
        return None
    device: Literal["cpu", "gpu"] = "cpu" if run.device_used == "cpu" else "gpu"
    return Residual(
        when=run.started_at,
        backend=run.backend,
        model=run.model,
        device=device,
        measured_tps=round(decode.measured, 2),
        predicted_tps=round(decode.predicted, 2),
        ratio=round(decode.measured / decode.predicted, 4),
    )
