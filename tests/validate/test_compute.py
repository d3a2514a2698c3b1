"""What the compute worker's lines become, however the worker ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from envcheck.host import Host
from envcheck.schema.run import ComputeRun
from envcheck.validate import _compute_worker, compute

H100 = {"device": "cuda:0", "name": "NVIDIA H100 80GB HBM3", "memory_mib": 81559}


def read(*lines: object) -> list[ComputeRun]:
    reader = compute.Reader()
    for line in lines:
        reader.take(line if isinstance(line, bytes) else json.dumps(line).encode(), lambda text: None)
    return reader.runs


def test_a_healthy_card_is_set_against_its_own_figures() -> None:
    copy, product = read(
        H100,
        {"id": "memory.copy", "status": "passed", "device": "cuda:0", "bandwidth_gbs": 3015.0, "says": "copied"},
        {
            "id": "matmul.bf16",
            "status": "passed",
            "device": "cuda:0",
            "tflops": 700.0,
            "error": 1.7e-3,
            "bound": 7.8e-3,
        },
    )
    assert copy.status == "passed"
    assert copy.says.startswith("90% of the 3350 GB/s of NVIDIA H100")
    assert (product.status, product.error, product.bound) == ("passed", 1.7e-3, 7.8e-3)


def test_a_slow_card_is_degraded_and_wrong_arithmetic_stays_failed() -> None:
    slow, wrong = read(
        H100,
        {"id": "memory.copy", "status": "passed", "device": "cuda:0", "bandwidth_gbs": 900.0, "says": "copied"},
        {"id": "matmul.bf16", "status": "failed", "device": "cuda:0", "tflops": 100.0, "error": float("inf")},
    )
    assert slow.status == "degraded"
    assert wrong.status == "failed"
    assert wrong.error is None


def test_an_unknown_product_is_not_compared() -> None:
    (run,) = read(
        {"device": "cpu", "name": "cpu"}, {"id": "memory.copy", "status": "passed", "bandwidth_gbs": 9.0, "says": "c"}
    )
    assert run.says == "c"


@pytest.mark.parametrize("line", [b"\xff\xfe", b"7", b"[]", b"{", {"id": "x", "status": "fantastic", "tflops": "many"}])
def test_odd_lines_never_raise(line: object) -> None:
    assert all(run.status == "failed" and run.tflops is None for run in read(line))


WORKERS = {
    "crash": (
        'print(\'{"begins": "matmuls", "device": "cuda:0"}\', flush=True); import os; os.abort()',
        "failed",
        "SIGABRT",
    ),
    "hang": ("import time; time.sleep(60)", "failed", "nothing more after 0.5 s"),
    "no torch": ("import sys; sys.exit(\"No module named 'torch'\")", "skipped", "no torch"),
}


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_that_does_not_finish(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, status, words = WORKERS[name]
    worker = tmp_path / "worker.py"
    worker.write_text(code)
    monkeypatch.setattr(compute, "WORKER", worker)
    (run,) = compute.compute(
        Host(target_python=sys.executable), lambda text: None, limit_s=0.5 if name == "hang" else 120
    )
    assert run.status == status
    assert words in run.says


@pytest.mark.parametrize(
    ("device", "error", "status"),
    [
        ("cuda:0", TypeError("unsupported operand"), "failed"),
        ("cuda:0", AttributeError("no attribute"), "failed"),
        ("cuda:0", NotImplementedError("Could not run 'aten::x' with arguments from the 'CUDA' backend"), "failed"),
        (
            "mps",
            NotImplementedError("The operator 'aten::x' is not currently implemented for the MPS device"),
            "skipped",
        ),
        ("cpu", RuntimeError("CUDA error: an illegal memory access"), "failed"),
    ],
)
def test_an_exception_is_a_fault_unless_torch_says_that_it_was_never_written(
    device: str, error: Exception, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(torch: object, device: str) -> list[dict[str, object]]:
        raise error

    def healthy(torch: object, device: str) -> list[dict[str, object]]:
        return [{"id": "next", "status": "passed", "device": device}]

    properties = SimpleNamespace(name="x", total_memory=0)
    cuda = SimpleNamespace(get_device_properties=lambda device: properties, empty_cache=lambda: None)
    monkeypatch.setattr(_compute_worker, "MEASUREMENTS", (broken, healthy))
    lines: list[dict[str, object]] = []
    _compute_worker.measure(SimpleNamespace(cuda=cuda), device, lines.append)
    found = [line for line in lines if "id" in line]
    assert [line["status"] for line in found] == [status, "passed"]
    assert type(error).__name__ in str(found[0]["says"])


def test_what_this_torch_lacks_is_known_before_it_is_asked_for() -> None:
    cuda = SimpleNamespace(get_device_capability=lambda device: (9, 0))
    old = SimpleNamespace(version=SimpleNamespace(cuda="12.1"), cuda=cuda, __version__="2.0.0", nn=SimpleNamespace())
    lines = [*_compute_worker.fp8_matmul(old, "cuda:0"), *_compute_worker.attentions(old, "cuda:0")]
    assert [(line["id"], line["status"]) for line in lines] == [("matmul.fp8", "skipped"), ("attention", "skipped")]
    assert "torch 2.0.0" in lines[0]["says"]
