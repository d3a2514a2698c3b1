"""Counters and histogram sums of a Prometheus text page, and what one request added to them."""

from __future__ import annotations

import math

from envcheck.schema.backend import EngineTimings


def parse(text: str) -> dict[str, float]:
    """{series name: sum over its label sets} of a page (exposition format 0.0.4); buckets and garbage are left out."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("#") or "_bucket" in line:
            continue
        name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
        value = rest.rpartition("}")[2] if "{" in line else rest
        try:
            number = float(value.split()[0])
        except (ValueError, IndexError):
            continue
        if math.isfinite(number):
            found[name.strip()] = found.get(name.strip(), 0.0) + number
    return found


def timings(before: dict[str, float], after: dict[str, float], prefix: str) -> EngineTimings:
    """The engine's figures for the one request between two pages; nothing when another request finished meanwhile.

    `prefix` is "vllm:" or "sglang:". Names: vLLM docs, "Production Metrics".
    """

    def added(name: str) -> float | None:
        key = prefix + name
        return after[key] - before.get(key, 0.0) if key in after else None

    if added("e2e_request_latency_seconds_count") != 1:
        return EngineTimings()
    prefill, decode = added("request_prefill_time_seconds_sum"), added("request_decode_time_seconds_sum")
    n_in, n_out = added("prompt_tokens_total"), added("generation_tokens_total")
    return EngineTimings(
        prefill_ms=prefill * 1e3 if prefill else None,
        decode_ms=decode * 1e3 if decode else None,
        prefill_tps=n_in / prefill if n_in and prefill else None,
        decode_tps=(n_out - 1) / decode if n_out and n_out > 1 and decode else None,
    )
