"""One quantity three ways: what was predicted, what the engine says of itself, what was measured from outside.

Pure. A row appears where at least two of the three are known; differences are said, not judged.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

import msgspec

from envcheck.schema.run import Expected, PromptRun, Reconciled, Run

CLOSE = 0.05
"""Client and engine clocks within this part of each other are said to agree: the spread of one short answer."""


def reconciled(run: Run, expected: Expected) -> Run:
    """The run with its predictions and the table beside them; unchanged where nothing was measured."""
    if not run.prompts:
        return run
    figures = expected.figures
    rows = [row for row in (_memory(run, figures), _decode(run, figures), _prefill(run, figures)) if row is not None]
    return msgspec.structs.replace(run, predicted=figures, prediction_says=expected.says, reconciled=tuple(rows))


def _memory(run: Run, expected: Mapping[str, float]) -> Reconciled | None:
    """All memory of the engine: on the GPU where it runs there, else of the host."""
    on_gpu = run.memory_mib.get("vram_peak")
    measured = on_gpu or run.memory_mib.get("ram_peak")
    says = run.memory_mib.get("backend_total")
    if says is None:
        parts = [
            run.memory_mib[name]
            for name in ("backend_weights", "backend_kv", "backend_compute")
            if name in run.memory_mib
        ]
        says = round(sum(parts), 1) if parts else None
    where = "GPU" if on_gpu else "host"
    note = f"{where} memory; the engine counts its own buffers, the measurement its whole processes"
    return _row("memory", "MiB", expected, "total_mib", says, measured, note)


def _decode(run: Run, expected: Mapping[str, float]) -> Reconciled | None:
    measured = _median(prompt.decode_tps for prompt in _warm(run))
    says = _median(prompt.server_decode_tps for prompt in _warm(run))
    return _row("decode speed", "tokens/s", expected, "decode_tps", says, measured, "median over the prompts")


def _prefill(run: Run, expected: Mapping[str, float]) -> Reconciled | None:
    """From the longest prompt, where what every request costs weighs least; TTFT includes one decoding step."""
    prompts = [p for p in _warm(run) if p.prompt_tokens and p.ttft_ms]
    if not prompts:
        return None
    longest = max(prompts, key=lambda prompt: prompt.prompt_tokens or 0)
    fresh = (longest.prompt_tokens or 0) - (longest.cached_tokens or 0)
    measured = fresh / (longest.ttft_ms or 1.0) * 1e3 if fresh > 0 else None
    note = f"tokens over TTFT of the longest prompt ({longest.prompt_tokens} tokens)"
    return _row("prefill speed", "tokens/s", expected, "prefill_tps", longest.server_prefill_tps, measured, note)


def _warm(run: Run) -> list[PromptRun]:
    return [prompt for prompt in run.prompts if not prompt.cold and prompt.error is None]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _row(
    quantity: str,
    unit: str,
    expected: Mapping[str, float],
    key: str,
    says: float | None,
    measured: float | None,
    note: str,
) -> Reconciled | None:
    predicted = expected.get(key)
    if sum(value is not None for value in (predicted, says, measured)) < 2:
        return None
    words = [note]
    if measured is not None and says:
        close = abs(measured / says - 1) <= CLOSE
        words.append("engine and client agree" if close else f"measured is {_off(measured, says)} what the engine says")
    if measured is not None and predicted:
        words.append(f"measured is {_off(measured, predicted)} the prediction")
    return Reconciled(
        quantity=quantity,
        unit=unit,
        predicted=predicted,
        predicted_low=expected.get(f"{key}_low"),
        predicted_high=expected.get(f"{key}_high"),
        backend_says=None if says is None else round(says, 2),
        measured=None if measured is None else round(measured, 2),
        says="; ".join(words),
    )


def _off(value: float, reference: float) -> str:
    return f"{abs(value / reference - 1):.0%} {'above' if value >= reference else 'below'}"
