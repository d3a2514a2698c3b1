"""The acceptance run without a GPU: configurations, cache sizes, predictions, and the whole path on the processor."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks import acceptance_models as models
from benchmarks import acceptance_report as report
from benchmarks import gpu_acceptance as acceptance

H200 = {"kind": "cuda:0", "name": "NVIDIA H200", "total_mib": 143771.0, "free_mib": 143000.0}


def finished() -> dict[str, Any]:
    """A document as a run would leave it, with one measured point per model."""
    point = {
        "prompt_tokens": 512, "new_tokens": 64, "ttft_ms": 20.0, "prefill_tps": 25600.0, "tpot_ms": 10.0,
        "decode_tps": 100.0, "memory_mib": {"torch_max_allocated": 16000.0}, "kv_mib": 72.0, "kv_calculated_mib": 72.0,
    }  # fmt: skip
    cases = acceptance.cases(H200, rehearsal=False, names=["Llama-3.1-8B", "Gemma-3-12B"])
    for case in cases:
        case |= {"status": "passed", "why": "", "seconds": 1.0, "points": [point], "read_per_token_mib": 14000.0}
    cases[0]["lines"] = [{"id": "memory.copy", "status": "passed", "bandwidth_gbs": 4000.0, "says": "a|b\nc"}]
    document = {
        "date": "2026-11-21", "rehearsal": False, "device": H200,
        "versions": {"python": "3.12", "transformers": "5.23.0"},
        "machine": {}, "prediction": "", "cases": cases, "seconds": 300.0,
    }  # fmt: skip
    acceptance.concluded(document)
    return document


@pytest.mark.parametrize(
    ("name", "tokens", "mib"),
    [
        # By hand: layers x 2 x KV heads x width x 2 bytes x tokens.
        ("Llama-3.1-8B", 8192, 1024.0),
        ("Qwen2.5-7B", 4096, 224.0),
        ("Qwen3-30B-A3B", 1024, 96.0),
        # Gemma 3: 8 of 48 layers keep everything, 40 keep 1023 of the last 1024.
        ("Gemma-3-12B", 4096, (8 * 4096 + 40 * 1023) * 2 * 8 * 256 * 2 / 2**20),
    ],
)
def test_cache_sizes(name: str, tokens: int, mib: float) -> None:
    assert models.kv_bytes(models.row(name), tokens) / 2**20 == pytest.approx(mib)


@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_has_a_configuration(name: str) -> None:
    kind, arguments = models.config(models.row(name))
    assert kind.endswith("Config")
    assert arguments["num_hidden_layers"] == models.row(name)["layer_count"]
    small = models.tiny(models.row(name))
    assert models.config(small)[0] == kind
    assert models.config(small)[1]["hidden_size"] == 64


def test_predictions_stand_beside_what_was_measured() -> None:
    document = finished()
    report.predict(document)
    assert document["prediction"].startswith("by envcheck estimate"), document["prediction"]
    predicted = next(case for case in document["cases"] if case["kind"] == "model")["predicted"]["512"]
    assert 15_000 < predicted["torch_max_allocated"]["value"] < 17_000
    assert predicted["decode_tps"]["low"] < predicted["decode_tps"]["value"] < predicted["decode_tps"]["high"]
    text = report.markdown(document)
    assert "| Llama-3.1-8B | 512 | 16000 | 15" in text
    assert "a/b c" in text


def test_a_table_has_as_many_cells_as_its_head() -> None:
    document = finished()
    document["cases"][-1]["points"] = [{"prompt_tokens": 512, "error": "out of memory", "memory_mib": {}}]
    text = report.markdown(document)
    rows = [line for line in text.splitlines() if line.startswith("| ") and ("8B" in line or "12B" in line)]
    assert {line.count("|") for line in rows} == {14}
    assert "out of memory" in text


def test_a_model_without_room_is_not_begun() -> None:
    card = {**H200, "free_mib": 20_000.0}
    cases = acceptance.cases(card, rehearsal=False, names=["Llama-3.1-8B", "Qwen3-30B-A3B"])
    said = {case["name"]: acceptance.lacks_room(case, card) for case in cases if case["kind"] == "model"}
    assert said["Llama-3.1-8B"] == ""
    assert "71 GiB" in said["Qwen3-30B-A3B"]


def test_a_case_that_crashes_or_hangs_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for code, words in (
        ("import os; os.abort()", "ended with code -6"),
        ("import time; time.sleep(60)", "stopped after 1 s"),
        ("raise SystemExit('no torch here')", "no torch here"),
    ):
        (tmp_path / "acceptance_case.py").write_text(code)
        monkeypatch.setattr(acceptance, "__file__", str(tmp_path / "gpu_acceptance.py"))
        result = acceptance.run_case({"kind": "model", "name": "x"}, 1.0)
        assert result["status"] == "failed"
        assert words in result["why"]


@pytest.mark.heavy
@pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None, reason="torch and transformers are not installed"
)
def test_the_whole_path_on_the_processor(tmp_path: Path) -> None:
    script = Path(acceptance.__file__)
    argv = [
        sys.executable,
        str(script),
        "--rehearse",
        "--out",
        str(tmp_path),
        "--models",
        "Llama-3.1-8B",
        "Gemma-3-12B",
    ]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    document = json.loads(next(tmp_path.glob("rehearsal-*.json")).read_text())
    measured = [point for case in document["cases"] if case["kind"] == "model" for point in case["points"]]
    assert measured
    for point in measured:
        assert point["kv_mib"] == pytest.approx(point["kv_calculated_mib"])
