"""Predicted, said and measured, side by side."""

from __future__ import annotations

from typing import Any

import pytest

from envcheck.schema.run import Expected, PromptRun, Run
from envcheck.validate.reconcile import reconciled


def prompt(**fields: Any) -> PromptRun:
    base = {"id": "p", "kind": "k", "passed": True, "answer": "right"}
    return PromptRun(**{**base, **fields})


def run(*prompts: PromptRun, **memory: float) -> Run:
    return Run(backend="b", model="m", status="passed", why="", prompts=prompts, memory_mib=memory)


def rows(subject: Run, **expected: float) -> dict[str, Any]:
    return {row.quantity: row for row in reconciled(subject, Expected(figures=expected)).reconciled}


def test_speed_three_ways_without_the_cold_prompt() -> None:
    found = rows(
        run(
            prompt(cold=True, decode_tps=1.0, server_decode_tps=1.0),
            prompt(decode_tps=100.0, server_decode_tps=102.0),
            prompt(decode_tps=110.0, server_decode_tps=112.0),
        ),
        decode_tps=140.0,
        decode_tps_low=100.0,
        decode_tps_high=180.0,
    )["decode speed"]
    assert (found.predicted, found.backend_says, found.measured) == (140.0, 107.0, 105.0)
    assert (found.predicted_low, found.predicted_high) == (100.0, 180.0)
    assert found.says.endswith("engine and client agree; measured is 25% below the prediction")


def test_memory_of_the_gpu_where_it_runs_there() -> None:
    on_gpu = rows(
        run(prompt(), vram_peak=5000.0, ram_peak=900.0, backend_weights=4000.0, backend_kv=500.0), total_mib=5500.0
    )
    assert (on_gpu["memory"].measured, on_gpu["memory"].backend_says) == (5000.0, 4500.0)
    assert on_gpu["memory"].says.startswith("GPU memory")
    host = rows(run(prompt(), ram_peak=900.0, backend_total=800.0))
    assert (host["memory"].measured, host["memory"].backend_says) == (900.0, 800.0)


def test_prefill_from_the_longest_prompt_less_what_was_cached() -> None:
    found = rows(
        run(
            prompt(prompt_tokens=10, ttft_ms=100.0, server_prefill_tps=1.0),
            prompt(prompt_tokens=500, cached_tokens=100, ttft_ms=200.0, server_prefill_tps=2100.0),
        )
    )["prefill speed"]
    assert (found.measured, found.backend_says) == (2000.0, 2100.0)


@pytest.mark.parametrize(
    "subject", [run(), run(prompt()), run(prompt(decode_tps=5.0)), run(prompt(error="x", decode_tps=5.0))]
)
def test_no_row_from_one_side_alone(subject: Run) -> None:
    assert rows(subject) == {}
