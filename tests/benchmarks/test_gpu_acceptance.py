"""The acceptance run without a GPU: configurations, cache sizes, predictions, and the whole path on the processor."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
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
    answers = report.predictions(document, document["cases"], 120.0)
    document["cases"] = [report.beside(case, answers) for case in document["cases"]]
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
    assert {line.count("|") for line in rows} == {15}
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


HALF_DONE = """
import json, pathlib, sys, time
path = pathlib.Path(sys.argv[2])
path.with_suffix(".part").write_text(json.dumps({"status": "failed", "why": "", "points": [{"prompt_tokens": 512}]}))
path.with_suffix(".part").replace(path)
pathlib.Path(__file__).with_name("begun").touch()
time.sleep(120)
"""


def test_a_signal_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acceptance_case.py").write_text(HALF_DONE)
    monkeypatch.setattr(acceptance, "__file__", str(tmp_path / "gpu_acceptance.py"))
    device = {"kind": "cpu", "name": "cpu"}
    monkeypatch.setattr(acceptance, "facts", lambda: {"device": device, "torch": "2", "transformers": "5"})
    monkeypatch.setattr(acceptance, "snapshot", dict)

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    arguments = argparse.Namespace(rehearse=True, models=["Llama-3.1-8B"], out=tmp_path / "out", budget=300.0)
    before = signal.signal(signal.SIGTERM, acceptance.stop)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        document = acceptance.perform(arguments)
    finally:
        thread.join()
        signal.signal(signal.SIGTERM, before)
    assert [case["points"] for case in document["cases"]] == [[{"prompt_tokens": 512}]]
    assert document["cases"][0]["why"] == "stopped by SIGTERM"
    assert document["status"] == "failed"
    assert document["why"].endswith("4 not begun")
    assert list((tmp_path / "out").glob("rehearsal-*.json"))  # written before the first case already


def test_what_was_on_the_path_stays_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert report.with_root()["PYTHONPATH"].split(os.pathsep) == [str(models.ROOT), "/somewhere"]


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


HAS_TORCH = find_spec("torch") is not None and find_spec("transformers") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="torch and transformers are not installed")


@pytest.mark.heavy
@needs_torch
@pytest.mark.parametrize(("capability", "fp8"), [((9, 0), True), ((8, 0), False)])
def test_every_measurement_of_a_gpu_runs_where_there_is_none(
    capability: tuple[int, int], fp8: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from envcheck.validate import _compute_worker as worker
    from tests.benchmarks.fake_cuda import NAME, fake_cuda

    monkeypatch.setattr(worker, "seconds", lambda torch, device, work: (work(), 0.001)[1])
    real_randn = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *size, **rest: real_randn(*(min(n, 512) for n in size), **rest))
    lines: list[dict[str, Any]] = []
    with fake_cuda(torch, capability):
        worker.measure(torch, "cuda:0", lines.append)
    found = {line["id"]: line for line in lines if "id" in line}
    assert lines[0]["name"] == NAME
    expected = {"matmul.fp32", "matmul.bf16", "matmul.fp16", "matmul.tf32", "attention.math", "memory.copy"}
    expected |= {"link.host_to_device", "link.device_to_host", "memory.pattern"} | ({"matmul.fp8"} if fp8 else set())
    assert expected <= set(found)
    assert ("matmul.fp8" in found) == fp8
    assert [line for line in found.values() if line["status"] == "failed"] == []


@pytest.mark.heavy
@needs_torch
@pytest.mark.parametrize(
    ("kind", "name", "bits"),
    [
        ("parity", "Llama-3.1-8B", None),
        ("model", "Gemma-3-12B", None),
        ("model", "Qwen3-30B-A3B", None),
        ("model", "Llama-3.1-8B", 8),
        ("model", "Llama-3.1-8B", 4),
    ],
)
def test_a_case_of_a_gpu_runs_where_there_is_none(kind: str, name: str, bits: int | None, tmp_path: Path) -> None:
    import torch

    from benchmarks import acceptance_case as runner
    from tests.benchmarks.fake_cuda import fake_cuda

    case = {"kind": kind, "name": name, "device": "cuda:0", "tiny": True, "contexts": [32, 96], "new_tokens": 4}
    store = runner.Store(tmp_path / "result.json")
    with fake_cuda(torch):
        run = runner.run_parity if kind == "parity" else runner.run_model
        run(torch, {**case, "bits": bits}, store)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["status"] == "passed", result["why"]
    if kind == "model":
        assert [point["prompt_tokens"] for point in result["points"]] == [32, 96]
        for point in result["points"]:
            assert point["memory_mib"]["torch_max_allocated"] == 2048
            assert point["kv_mib"] == pytest.approx(point["kv_calculated_mib"])
        assert result["dtype"] == "bfloat16"
    if bits:
        assert result["narrow_layers"] > 0
        assert result["narrow_error"] < 0.02


@pytest.mark.heavy
@needs_torch
def test_memory_that_does_not_suffice_ends_the_case_and_keeps_its_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from benchmarks import acceptance_case as runner
    from benchmarks import acceptance_engine as engine

    real = engine.generate

    def short(torch: Any, model: Any, device: str, prompt: int, new_tokens: int) -> dict[str, Any]:
        if prompt > 64:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(torch, model, device, prompt, new_tokens)

    monkeypatch.setattr(engine, "generate", short)
    store = runner.Store(tmp_path / "result.json")
    case = {"name": "Llama-3.1-8B", "device": "cpu", "tiny": True, "contexts": [32, 96, 128], "new_tokens": 4}
    runner.run_model(torch, case, store)
    assert store.result["status"] == "passed"
    assert store.result["why"] == "1 of 3 contexts measured"
    assert store.result["points"][1]["error"] == "out of memory"
