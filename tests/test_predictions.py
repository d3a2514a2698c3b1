"""What is expected of a run before it is measured, and what a slow one or an unused GPU is put down to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from envcheck.explanations import explained
from envcheck.host import Host
from envcheck.machine_files import read_snapshot
from envcheck.predictions import Expectations, expected, unoccupied, with_bandwidth
from envcheck.schema.backend import Candidate
from envcheck.schema.facts import Known, is_known, value_of
from envcheck.schema.run import PromptRun, Reconciled, Run, Validation
from envcheck.schema.snapshot import Snapshot

MACHINES = Path(__file__).parent / "machines"
RTX_4090 = read_snapshot(MACHINES / "ubuntu22-rtx4090-hidden.json")
NO_GPU = read_snapshot(MACHINES / "debian12-2-cores.json")
QWEN = "Qwen2.5-7B-Instruct"


def prompt(**fields: Any) -> PromptRun:
    return PromptRun(**{"id": "p", "kind": "k", "passed": True, "answer": "right", **fields})


def run(backend: str = "vllm", model: str = QWEN, **fields: Any) -> Run:
    return Run(**{"backend": backend, "model": model, "status": "passed", "why": "", "prompts": (prompt(),), **fields})


def candidate(backend: str = "vllm", model: str = QWEN, **fields: Any) -> Candidate:
    return Candidate(**{"backend": backend, "state": "running", "why": "", "model": model, **fields})


@pytest.mark.parametrize(
    ("backend", "fields"),
    [
        ("vllm", {"settings": {"context": "4096"}, "url": "http://127.0.0.1:8000"}),
        ("llama.cpp", {"settings": {"context": "4096"}, "url": "http://[::1]:8080"}),
        ("ollama", {"settings": {"context": "4096"}, "device_used": "gpu", "url": "http://localhost:11434"}),
        ("transformers", {"settings": {"dtype": "bfloat16"}, "device_used": "cuda"}),
    ],
)
def test_a_known_model_on_a_known_machine_is_predicted(backend: str, fields: dict[str, Any]) -> None:
    found = Expectations(Host(Path("/nonexistent")), RTX_4090).of(candidate(backend), run(backend, **fields))
    figures = found.figures
    assert figures["total_mib"] > 4000, found.says
    assert figures["decode_tps_low"] < figures["decode_tps"] < figures["decode_tps_high"]
    assert figures["prefill_tps"] > figures["decode_tps"]
    assert found.says.startswith("by envcheck fit")


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        (run(url="http://192.0.2.7:8000"), "another machine"),
        (run("openai_compatible", url="http://127.0.0.1:1234/v1"), "which engine answers"),
        (run("sglang"), "no memory rules for sglang"),
        (run("ollama", device_used="unknown"), "another engine may answer behind it"),
        (run(model="somebody/made-this-up"), "not a known model"),
    ],
)
def test_what_cannot_be_predicted_says_why(subject: Run, why: str) -> None:
    asked = candidate(subject.backend, subject.model)
    found = Expectations(Host(Path("/nonexistent")), RTX_4090).of(asked, subject)
    assert found.figures == {}
    assert found.says.startswith("no prediction: ")
    assert why in found.says


def test_memory_that_the_engine_holds_already_is_not_missing() -> None:
    gpus = RTX_4090.nvidia.gpus
    assert is_known(gpus)
    full = tuple(msgspec.structs.replace(gpu, memory_free_mib=Known(value=100, source="x")) for gpu in gpus.value)
    nvidia = msgspec.structs.replace(RTX_4090.nvidia, gpus=msgspec.structs.replace(gpus, value=full))
    occupied = msgspec.structs.replace(RTX_4090, nvidia=nvidia)
    assert expected(occupied, QWEN, run()).figures == expected(RTX_4090, QWEN, run()).figures != {}
    assert not is_known(unoccupied(NO_GPU).memory.ram_available_mib)


def test_transformers_is_expected_to_hold_the_type_it_loaded() -> None:
    narrow = expected(RTX_4090, QWEN, run("transformers", settings={"dtype": "bfloat16"})).figures["total_mib"]
    wide = expected(RTX_4090, "Qwen2.5-3B-Instruct", run("transformers", settings={"dtype": "float32"})).figures
    half = expected(RTX_4090, "Qwen2.5-3B-Instruct", run("transformers", settings={"dtype": "bfloat16"})).figures
    assert narrow > half["total_mib"]
    assert wide["total_mib"] > 1.6 * half["total_mib"]


def test_an_engine_that_grows_its_cache_is_expected_to_hold_what_was_said() -> None:
    short = run("transformers", prompts=(prompt(prompt_tokens=100, output_tokens=10),))
    long = run("transformers", prompts=(prompt(prompt_tokens=8000, output_tokens=100),))
    sizes = [expected(RTX_4090, QWEN, subject).figures["total_mib"] for subject in (short, long)]
    assert sizes[0] < sizes[1]


def measured(decode_tps: float, predicted: float = 100.0, **fields: Any) -> Run:
    row = Reconciled(
        quantity="decode speed", unit="tokens/s", predicted=predicted, predicted_low=75.0, predicted_high=125.0,
        backend_says=decode_tps, measured=decode_tps,
    )  # fmt: skip
    return run(**{"reconciled": (row,), "prompts": (prompt(decode_tps=decode_tps),), **fields})


def explained_on(snapshot: Snapshot, subject: Run) -> Run:
    return explained(Validation(runs=(subject,)), lambda: snapshot).runs[0]


@pytest.mark.parametrize(
    ("machine", "fields", "proved", "not_said"),
    [
        (RTX_4090, {"device_used": "cpu"}, "cpu_fallback", "partial_offload"),
        (RTX_4090, {"device_used": "cuda", "gpu_share": 0.6}, "partial_offload", "cpu_fallback"),
        (RTX_4090, {"device_used": "cuda", "memory_mib": {"vram_peak": 24400.0}}, "memory_spill", "cpu_fallback"),
        (NO_GPU, {"device_used": "cpu", "others_cpu_share": 0.7}, "shared_processor", "pcie_slot"),
    ],
)
def test_a_slow_run_names_what_it_is_due_to(
    machine: Snapshot, fields: dict[str, Any], proved: str, not_said: str
) -> None:
    verdict = explained_on(machine, measured(20.0, **fields)).slow
    assert verdict is not None
    assert verdict.slow
    assert verdict.ratio == pytest.approx(0.2)
    assert verdict.reasons[0].cause == proved
    assert verdict.reasons[0].proved
    assert not_said not in [reason.cause for reason in verdict.reasons]


def test_an_idle_link_accuses_nobody() -> None:
    gpu = RTX_4090.nvidia.gpus
    assert is_known(gpu)
    assert value_of(gpu.value[0].pcie_generation) == 1  # of 4: the card slept when it was looked at
    verdict = explained_on(RTX_4090, measured(20.0, device_used="cuda", gpu_share=1.0)).slow
    assert verdict is not None
    assert not any(reason.proved for reason in verdict.reasons)


def test_as_fast_as_expected_and_nothing_to_compare_with() -> None:
    found = explained_on(NO_GPU, measured(98.0, device_used="cpu")).slow
    assert found is not None
    assert (found.slow, found.reasons) == (False, ())
    assert explained_on(NO_GPU, run()).slow is None


def test_a_gpu_left_unused_gets_the_likely_cause() -> None:
    subject = run("transformers", status="degraded", why="it ran on the CPU", device_expected="cuda", device_used="cpu")
    found = explained_on(RTX_4090, subject)
    assert found.why.startswith("it ran on the CPU; likely cause: ")
    assert "CUDA_VISIBLE_DEVICES" in found.why


def test_the_machine_is_not_looked_at_for_nothing() -> None:
    def never() -> Snapshot:
        raise AssertionError

    assert explained(Validation(runs=(run(),)), never).runs[0].slow is None


def test_bandwidth_is_measured_only_where_nobody_did() -> None:
    known = msgspec.structs.replace(NO_GPU.cpu, memory_bandwidth_gbs=Known(value=40.0, source="x"))
    snapshot = msgspec.structs.replace(NO_GPU, cpu=known)
    assert with_bandwidth(Host(), snapshot) is snapshot
    assert with_bandwidth(Host(Path("/nonexistent")), NO_GPU) is NO_GPU
    assert (value_of(with_bandwidth(Host(), NO_GPU).cpu.memory_bandwidth_gbs) or 0) > 0.1
