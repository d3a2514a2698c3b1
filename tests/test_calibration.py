"""A machine's own speed, learned from the runs that its reports keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from envcheck import calibration
from envcheck.api_fit import Question, fit_rows
from envcheck.calibration import learned, same_machine
from envcheck.machine_files import read_snapshot
from envcheck.schema.errors import InputError
from envcheck.schema.run import Reconciled, Run, Validation
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.speed import SlowReason, SlowVerdict
from tests.compose.fixtures import HEADER, titan_subject

MACHINES = Path(__file__).parent / "machines"
RTX_4090 = read_snapshot(MACHINES / "ubuntu22-rtx4090-hidden.json")
NO_GPU = read_snapshot(MACHINES / "debian12-2-cores.json")


def run(predicted: float | None, measured: float | None, device: str = "cuda", **fields: Any) -> Run:
    decode = Reconciled(quantity="decode speed", unit="tokens/s", predicted=predicted, measured=measured)
    told = {"backend": "vllm", "model": "Qwen2.5-7B-Instruct", "status": "passed", "why": "", "device_used": device}
    return Run(**{**told, "reconciled": (decode,), **fields})


def written(folder: Path, *runs: Run) -> Path:
    path = folder / "validation.json"
    path.write_bytes(msgspec.json.encode(Validation(runs=runs)))
    return path


def reported(folder: Path, snapshot: Snapshot, *runs: Run) -> Path:
    from envcheck.compose.report import compose

    subject = msgspec.structs.replace(titan_subject(), snapshot=snapshot, validation=Validation(runs=runs))
    path = folder / "2026-11-21-machine" / "report.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(msgspec.json.encode(compose(subject, HEADER)))
    return path


def test_the_median_ratio_is_learned_per_kind_of_device(tmp_path: Path) -> None:
    path = written(tmp_path, run(100, 80), run(100, 90), run(50, 45), run(10, 5, "cpu"), run(None, 40), run(100, None))
    gpu, cpu = learned([path], RTX_4090)
    assert (gpu.device, gpu.factor, len(gpu.residuals)) == ("gpu", 0.9, 3)
    assert (cpu.device, cpu.factor, len(cpu.residuals)) == ("cpu", 0.5, 1)
    assert [residual.ratio for residual in gpu.residuals] == [0.8, 0.9, 0.9]


def test_a_run_with_a_proved_fault_teaches_nothing(tmp_path: Path) -> None:
    reason = SlowReason(cause="power_limit", says="the limit is low", remedy="raise it", proved=True)
    faulty = run(100, 20, slow=SlowVerdict(slow=True, ratio=0.2, says="slow", reasons=(reason,)))
    path = written(tmp_path, faulty, run(100, 30, status="failed"), run(100, 70))
    assert [one.factor for one in learned([path], RTX_4090)] == [0.7]


def test_reports_of_other_machines_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "REPORTS", tmp_path)
    reported(tmp_path, RTX_4090, run(100, 80))
    assert learned([], RTX_4090)[0].factor == 0.8
    with pytest.raises(InputError, match="No run of this machine"):
        learned([], NO_GPU)
    assert same_machine(RTX_4090, RTX_4090)
    assert not same_machine(RTX_4090, NO_GPU)


def test_a_file_without_runs_says_how_to_get_some(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(InputError, match="envcheck run"):
        learned([path], RTX_4090)


@pytest.mark.parametrize("text", ["[]", "not json", '{"runs": 7}'])
def test_other_files_are_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"odd\.json"):
        learned([path], RTX_4090)


def test_a_calibrated_row_says_so_and_keeps_the_residuals(tmp_path: Path) -> None:
    learnt = learned([written(tmp_path, run(100, 80), run(100, 60))], RTX_4090)
    question = Question(models=("Qwen2.5-7B-Instruct",), backends=("llama.cpp",))
    (plain,) = fit_rows(question, RTX_4090)
    (own,) = fit_rows(msgspec.structs.replace(question, calibrations=learnt), RTX_4090)
    assert plain.speed is not None
    assert own.speed is not None
    assert plain.speed.decode_tps is not None
    assert own.speed.decode_tps is not None
    assert own.speed.decode_tps.value == pytest.approx(0.7 * plain.speed.decode_tps.value)
    assert own.calibration is not None
    assert len(own.calibration.residuals) == 2
    assert any("times 0.70, measured over predicted in 2 runs of this machine" in note for note in own.assumptions)
    (processor,) = fit_rows(msgspec.structs.replace(question, calibrations=learnt, gpus=0), RTX_4090)
    assert processor.calibration is None
