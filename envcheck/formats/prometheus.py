"""Prometheus text exposition format 0.0.4, for node_exporter's textfile collector.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median
from typing import Any

from envcheck.formats._machines import Machine, machines
from envcheck.formats._text import inert
from envcheck.schema.format import Format, Style

_MIB = 1024 * 1024
_METRICS = {
    "envcheck_verdict": "1 for the status of each requirement",
    "envcheck_backend_state": "1 for the state of each backend",
    "envcheck_fit_memory_bytes": "memory that a model needs, calculated",
    "envcheck_fit_decode_tokens_per_second": "decode speed to expect, calculated",
    "envcheck_run_passed": "1 where a backend answered real prompts as expected, 0.5 where degraded",
    "envcheck_run_decode_tokens_per_second": "median decode speed over a run's prompts, measured",
    "envcheck_changes": "things that are not as they were at the earlier look that was compared",
    "envcheck_change": "1 for each such thing",
    "envcheck_timestamp_seconds": "when the machine was judged, Unix time",
}


def render(document: Any, style: Style) -> str:  # noqa: ARG001
    """Gauges with the machine's alias as a label, grouped by metric as the format demands."""
    samples = [sample for machine in machines(document) for sample in _samples(machine)]
    lines: list[str] = []
    for name, says in _METRICS.items():
        found = [line for metric, line in samples if metric == name]
        if found:
            lines += [f"# HELP {name} {says}", f"# TYPE {name} gauge", *found]
    return "\n".join(lines) + "\n"


def _samples(machine: Machine) -> Iterator[tuple[str, str]]:
    alias = machine.snapshot.alias
    for v in machine.verdicts:
        labels = {"machine": alias, "id": v.id, "backend": v.backend, "status": v.status, "severity": v.severity}
        yield _sample("envcheck_verdict", 1, labels)
    for name, state in machine.backends.items():
        yield _sample("envcheck_backend_state", 1, {"machine": alias, "backend": name, "state": state.status})
    for fit in machine.fits:
        labels = {
            "machine": alias,
            "model": fit.model,
            "backend": fit.backend,
            "quant": fit.quant,
            "status": fit.status,
        }
        if fit.memory_mib:
            yield _sample("envcheck_fit_memory_bytes", fit.memory_mib.total * _MIB, labels)
        if fit.speed and fit.speed.decode_tps:
            yield _sample("envcheck_fit_decode_tokens_per_second", fit.speed.decode_tps.value, labels)
    for run in machine.runs:
        labels = {"machine": alias, "backend": run.backend, "model": run.model, "device": run.device_used}
        if run.status != "skipped":
            value = {"passed": 1.0, "degraded": 0.5}.get(run.status, 0.0)
            yield _sample("envcheck_run_passed", value, labels)
        speeds = [prompt.decode_tps for prompt in run.prompts if prompt.decode_tps is not None]
        if speeds:
            yield _sample("envcheck_run_decode_tokens_per_second", median(speeds), labels)
    if machine.changes:
        yield _sample(
            "envcheck_changes", len(machine.changes.found), {"machine": alias, "since": machine.changes.since}
        )
        for change in machine.changes.found:
            labels = {"machine": alias, "what": change.what, "before": change.before, "after": change.after}
            yield _sample("envcheck_change", 1, labels)
    seconds = _unix(machine.timestamp)
    if seconds is not None:
        yield _sample("envcheck_timestamp_seconds", seconds, {"machine": alias})


def _sample(name: str, value: float, labels: dict[str, str]) -> tuple[str, str]:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return name, f"{name}{{{inside}}} {value:.10g}"


def _escaped(text: str) -> str:
    return inert(text).replace("\\", "\\\\").replace('"', '\\"')


def _unix(timestamp: str) -> float | None:
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


FORMAT = Format(
    name="prometheus", says="Prometheus textfile metrics", suffix=".prom", media_type="text/plain", render=render
)
