"""CSV (RFC 4180) of verdicts, fits and prompts: one table, the first column says which kind a row is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from envcheck.formats._machines import Machine, machines
from envcheck.formats._text import inert
from envcheck.schema.fit import FitRow
from envcheck.schema.format import Format, Style
from envcheck.schema.run import PromptRun, Run

_COLUMNS = (
    *("record", "machine", "backend", "id", "model", "quant", "status", "severity", "expected", "actual"),
    *("context", "concurrency", "memory_total_mib", "memory_low_mib", "memory_high_mib", "memory_available_mib"),
    *(
        "max_context",
        "gpu_layers",
        "decode_tps",
        "decode_low_tps",
        "decode_high_tps",
        "prefill_tps",
        "ttft_ms",
        "tpot_ms",
    ),
    *("e2e_ms", "prompt_tokens", "output_tokens", "ram_mib", "vram_mib", "device", "basis", "says"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(document: Any, style: Style) -> str:  # noqa: ARG001
    """Every verdict, fit and prompt as one row; a cell without a value is empty. Text never starts a formula."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for machine in machines(document):
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in _rows(machine))
    return text.getvalue()


def _rows(machine: Machine) -> Iterator[dict[str, Any]]:
    alias = machine.snapshot.alias
    for v in machine.verdicts:
        same = {
            name: getattr(v, name) for name in ("backend", "id", "status", "severity", "expected", "actual", "says")
        }
        yield {"record": "verdict", "machine": alias, **same, "basis": "table"}
    for fit in machine.fits:
        yield {"record": "fit", "machine": alias, **_fit(fit)}
    for run in machine.runs:
        for prompt in run.prompts:
            yield {"record": "prompt", "machine": alias, **_prompt(run, prompt)}


def _fit(fit: FitRow) -> dict[str, Any]:
    low, high = (fit.interval_mib or {}).get("total", (None, None))
    same = ("backend", "model", "quant", "status", "context", "concurrency", "max_context", "gpu_layers", "basis")
    row: dict[str, Any] = {name: getattr(fit, name) for name in same}
    row |= {"memory_low_mib": low, "memory_high_mib": high, "says": fit.why}
    if fit.memory_mib:
        row |= {"memory_total_mib": fit.memory_mib.total, "memory_available_mib": fit.memory_mib.available}
    speed = fit.speed
    if speed and speed.decode_tps:
        decode = speed.decode_tps
        row |= {"decode_tps": decode.value, "decode_low_tps": decode.low, "decode_high_tps": decode.high}
    if speed and speed.prefill_tps:
        row["prefill_tps"] = speed.prefill_tps.value
    if speed and speed.ttft_ms:
        row["ttft_ms"] = speed.ttft_ms.value
    return row


_OF_A_PROMPT = (
    *("id", "prompt_tokens", "output_tokens", "ttft_ms", "tpot_ms", "e2e_ms", "decode_tps", "prefill_tps", "ram_mib"),
    "vram_mib",
)


def _prompt(run: Run, prompt: PromptRun) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(prompt, name) for name in _OF_A_PROMPT}
    row |= {"backend": run.backend, "model": run.model, "device": run.device_used, "basis": "measured"}
    row |= {"status": "error" if prompt.error else prompt.answer, "says": prompt.error or prompt.why}
    return row


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:.10g}"
    text = inert(str(value))
    # A spreadsheet would run text that starts like a formula (OWASP, "CSV Injection").
    return f"'{text}" if text.startswith(_FORMULA) else text


FORMAT = Format(
    name="csv", says="verdicts, fits and prompts as one table", suffix=".csv", media_type="text/csv", render=render
)
