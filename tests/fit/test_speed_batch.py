"""Requests as benchmark tables state them, and what is answered where they say too little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from envcheck.cli.estimate import COMMAND
from envcheck.fit.speed_batch import answer

RUN: dict[str, Any] = {
    "id": "a",
    "metric": "decode_tps",
    "engine": "llama.cpp",
    "backend": "CUDA",
    "run_device": "gpu",
    "hardware_name": "NVIDIA GeForce RTX 4090",
    "n_gpus": 1,
    "model": "llama 8B",
    "params_b": 8.03,
    "quant": "Q4_K_M",
    "size_gib": 4.58,
}


SERVED: dict[str, Any] = {"engine": "vllm", "metric": "output_throughput", "quant": "AWQ", "size_gib": None}


MOE: dict[str, Any] = {"model": "Qwen3-30B-A3B", "params_b": None, "size_gib": None}
HALF: dict[str, Any] = {"run_device": "hybrid", "cpu": "AMD Ryzen 9 7950X"}


# Published orders of magnitude, wide enough that only a broken formula leaves them.
@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        ({}, 90, 190),
        ({"metric": "tpot_ms"}, 5, 11),
        ({"metric": "prefill_tps", "prompt_tokens": 512}, 3000, 14000),
        ({"metric": "ttft_ms", "prompt_tokens": 2048}, 100, 900),
        ({"depth": 32768}, 40, 130),
        ({"hardware_name": "Apple M3 Max", "backend": "Metal"}, 35, 75),
        ({"hardware_name": "NVIDIA GeForce RTX 3090", "n_gpus": 4}, 70, 150),
        ({"run_device": "cpu", "hardware_name": None, "cpu": "AMD Ryzen 9 7950X"}, 5, 18),
        ({"run_device": "cpu", "hardware_name": None, "cpu": "Raspberry Pi 5"}, 0.8, 4),
        ({**SERVED, "concurrency": 64}, 800, 6000),
        (MOE, 120, 330),
        ({**HALF, "settings": {"ngl": 16}}, 15, 50),
        ({**HALF, **MOE, "settings": {"n_cpu_moe": 24}}, 30, 120),
        ({"hardware_name": "AMD Radeon 780M", "backend": "Vulkan", "cpu": "AMD Ryzen 7 7840HS"}, 8, 25),
    ],
)  # fmt: skip
def test_a_run_lies_where_such_runs_lie(changes: dict[str, Any], low: float, high: float) -> None:
    found = answer({**RUN, **changes})
    assert low < found["value"] < high
    assert found["low"] < found["value"] < found["high"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"hardware_name": "Frobnicator 9000"}, "not in the hardware table"),
        ({"hardware_name": None}, "GPU is not named"),
        ({"model": "mystery", "params_b": None}, "size of the model 'mystery'"),
        ({"run_device": "cpu", "cpu": "Frobnicator"}, "bandwidth of the CPU"),
        ({"run_device": "cpu"}, "CPU is not named"),
        ({"run_device": "hybrid"}, "CPU is not named"),
        ({"run_device": "hybrid", "cpu": "AMD Ryzen 9 7950X"}, "how much of the model"),
        ({"params_b": "eight"}, "does not fit"),
        ({"metric": "beauty"}, "does not fit"),
        ({"n_gpus": 1e99}, "does not fit"),
    ],
)
def test_too_little_is_said_to_be_unknown(changes: dict[str, Any], why: str) -> None:
    found = answer({**RUN, **changes})
    assert why in found["unknown"]
    assert found["id"] == "a"


def test_the_verb_answers_one_line_each(tmp_path: Path) -> None:
    batch = tmp_path / "runs.jsonl"
    batch.write_text("\n".join(json.dumps({**RUN, "id": name}) for name in "ab") + "\n")
    run = CliRunner().invoke(COMMAND, ["speed", "--batch", str(batch)])
    assert [json.loads(line)["id"] for line in run.output.splitlines()] == ["a", "b"]
