"""Predictions beside measurements of the GPU acceptance run, and its Markdown. Only the standard library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import acceptance_models as models

MIB = 1024 * 1024
Document = dict[str, Any]


def requests(document: Document, cases: list[Document]) -> dict[str, list[Document]]:
    """What `envcheck estimate` is asked: one memory and two speed predictions per point, from facts known before."""
    memory, speed = [], []
    for case in cases:
        if not _predictable(case):
            continue
        for context in case["contexts"]:
            memory.append(_memory_request(document, case, context))
            speed += [_speed_request(document, case, context, metric) for metric in ("decode_tps", "prefill_tps")]
    return {"memory": memory, "speed": speed}


def _predictable(case: Document) -> bool:
    """The catalog's models as published; narrowed layers and tiny stand-ins are nobody's format."""
    return bool(case["kind"] == "model" and not case.get("bits") and not case["tiny"])


def _memory_request(document: Document, case: Document, context: int) -> Document:
    gpu = document["device"]
    settings = {
        "input_tokens": context, "generated_tokens": case["new_tokens"], "batch": 1, "n_gpus": 1,
        "quantization": None, "dtype": "bfloat16", "attn": "sdpa",
    }  # fmt: skip
    card = {"name": gpu["name"], "device": None, "total_mib": gpu.get("total_mib"), "free_mib": gpu.get("free_mib")}
    return {
        "id": f"{case['name']}/{context}", "engine": "transformers", "engine_fork": None,
        "engine_version": f"transformers {document['versions'].get('transformers')}", "gpu": [card],
        "model": case["name"], "gguf_file": None, "arch": {}, "quant": "BF16", "tensor_types": None,
        "size_printed": None, "params_printed": None, "settings": settings,
    }  # fmt: skip


def _speed_request(document: Document, case: Document, context: int, metric: str) -> Document:
    gpu, row = document["device"], models.row(case["name"])
    active = row.get("published_active")
    return {
        "id": f"{case['name']}/{context}/{metric}", "engine": "transformers",
        "engine_version": document["versions"].get("transformers"), "backend": "CUDA", "driver": None, "os": "Linux",
        "run_device": "gpu", "gpu": gpu["name"], "gpu_as_printed": gpu["name"], "hardware_name": gpu["name"],
        "hardware_memory_gib": round((gpu.get("total_mib") or 0) / 1024, 1) or None, "n_gpus": 1, "cpu": None,
        "ram": None, "model": case["name"], "model_file": None,
        "params_b": round(models.text_parameters(row) / 1e9, 2), "is_moe": "experts" in row,
        "active_params_b": active / 1e9 if active else None, "quant": "BF16", "size_gib": None, "settings": {},
        "prompt_tokens": context, "n_gen": case["new_tokens"], "depth": 0, "concurrency": 1, "spec_decode": False,
        "metric": metric,
    }  # fmt: skip


def predictions(document: Document, cases: list[Document], limit_s: float) -> Document:
    """Answers of `envcheck estimate` by id; `document["prediction"]` says so, or why there are none.

    envcheck needs packages that a bare machine may lack: then they are added elsewhere, from the same facts.
    """
    if document["rehearsal"]:
        document["prediction"] = "none, the models are not the catalog's"
        return {}
    answers: Document = {}
    try:
        for kind, rows in requests(document, cases).items():
            answers |= {row["id"]: row for row in _estimate(kind, rows, limit_s / 2)}
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        document["prediction"] = f"not made here ({error}): run this script with --complete on this file elsewhere"
        return {}
    document["prediction"] = "by envcheck estimate, from facts known before the run"
    return answers


def beside(case: Document, answers: Document) -> Document:
    """The case with what was predicted of it."""
    if not answers or not _predictable(case):
        return case
    return {**case, "predicted": {str(context): _prediction(answers, case, context) for context in case["contexts"]}}


def _estimate(kind: str, rows: list[Document], limit_s: float) -> list[Document]:
    with tempfile.TemporaryDirectory() as folder:
        batch = Path(folder) / "batch.jsonl"
        batch.write_text("".join(json.dumps(row) + "\n" for row in rows))
        ended = subprocess.run(
            [sys.executable, "-m", "envcheck", "estimate", kind, "--batch", str(batch)],
            capture_output=True, text=True, timeout=limit_s, check=False,
            env=with_root(),
        )  # fmt: skip
    if ended.returncode not in (0, 3):
        raise ValueError((ended.stderr.strip().splitlines() or ["no answer"])[-1][:200])
    return [json.loads(line) for line in ended.stdout.splitlines() if line.strip()]


def with_root() -> dict[str, str]:
    """The environment for a child that imports envcheck from here; what else was on the path stays."""
    path = os.pathsep.join(filter(None, (str(models.ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path}


def _prediction(answers: dict[str, Any], case: Document, context: int) -> Document:
    """Memory of the text part alone: the catalog's row may have a vision tower, which is not built here."""
    row = models.row(case["name"])
    vision = row.get("vision", {}).get("parameters", 0) * models.BYTES / MIB
    found: Document = {}
    memory = answers.get(f"{case['name']}/{context}", {})
    if (peak := memory.get("memory_mib", {}).get("torch_max_allocated")) is not None:
        low, high = memory.get("interval_mib", {}).get("torch_max_allocated", (peak, peak))
        found["torch_max_allocated"] = {"value": peak - vision, "low": low - vision, "high": high - vision}
    for metric in ("decode_tps", "prefill_tps"):
        speed = answers.get(f"{case['name']}/{context}/{metric}", {})
        if "value" in speed:
            found[metric] = {name: speed[name] for name in ("value", "low", "high")}
    return found


def markdown(document: Document) -> str:
    """The whole run for a reader."""
    cases = document["cases"]
    copy_gbs = _copy_gbs(document)
    compute = [line for case in cases if case["kind"] == "compute" for line in case.get("lines", [])]
    points = [row for case in cases if case["kind"] == "model" for row in _model_rows(case, copy_gbs)]
    parity = [f"- {case['name']}: {case['status']}, {case['why']}" for case in cases if case["kind"] == "parity"]
    unfinished = [f"- {case['kind']} {case['name']}: {case['why']}" for case in cases if case["status"] != "passed"]
    sections = [
        *_head(document),
        "## Arithmetic and memory of the device",
        "",
        "| measurement | status | relative error | bound | TFLOP/s | GB/s | says |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
        *map(_compute_row, compute),
        "",
        "## Models: measured against predicted",
        "",
        "Peak is torch's largest allocation while the prompt ran; process is what NVML attributes to the whole process "
        f"(driver context and cached blocks too). Predictions: {document['prediction']}.",
        "",
        "| model | prompt | peak MiB | predicted MiB | error | process MiB | KV MiB | calculated | TTFT ms | "
        "prefill tok/s | predicted | decode tok/s | predicted | of copy bandwidth |",
        "| --- |" + " ---: |" * 13,
        *points,
        "",
        "## Same answer on both devices",
        "",
        *parity,
        "",
        "## What did not finish",
        "",
        *(unfinished or ["Nothing."]),
        "",
    ]
    return "\n".join(sections)


def _head(document: Document) -> list[str]:
    versions = document["versions"]
    kind = "Rehearsal with tiny models" if document["rehearsal"] else "Acceptance run"
    precision = "float32" if document["rehearsal"] else "bfloat16 unless said otherwise"
    return [
        f"# {kind} on {document['device']['name']}, {document['date']}",
        "",
        f"torch {versions.get('torch')}, transformers {versions.get('transformers')}, Python {versions['python']}; "
        f"{document['seconds']:.0f} s in all. Weights are random (speed and memory do not depend on their values); "
        f"batch 1, greedy, {precision}.",
        "",
        f"**{document['status'].upper()}**: {document['why']}",
        "",
    ]


def _compute_row(line: Document) -> str:
    cells = [
        line["id"], line["status"], _number(line.get("error"), ".1e"), _number(line.get("bound"), ".1e"),
        _number(line.get("tflops"), ".1f"), _number(line.get("bandwidth_gbs"), ".0f"), _plain(line.get("says", "")),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _model_rows(case: Document, copy_gbs: float | None) -> list[str]:
    label = case["name"] + (f" int{case['bits']} weights" if case.get("bits") else "")
    rows = []
    for point in case.get("points", []):
        predicted = case.get("predicted", {}).get(str(point["prompt_tokens"]), {})
        peak = point.get("memory_mib", {}).get("torch_max_allocated")
        memory = predicted.get("torch_max_allocated")
        if point.get("error"):
            rows.append(f"| {label} | {point['prompt_tokens']} | {point['error']} |" + " – |" * 11)
            continue
        off = f"{(memory['value'] - peak) / peak:+.1%}" if memory and peak else "–"
        cells = [
            label, str(point["prompt_tokens"]), _number(peak, ".0f"), _interval(memory, ".0f"), off,
            _number(point.get("memory_mib", {}).get("nvml_process"), ".0f"),
            _number(point["kv_mib"], ".1f"), _number(point["kv_calculated_mib"], ".1f"),
            _number(point["ttft_ms"], ".1f"), _number(point["prefill_tps"], ".0f"),
            _interval(predicted.get("prefill_tps"), ".0f"), _number(point["decode_tps"], ".1f"),
            _interval(predicted.get("decode_tps"), ".0f"), _reach(case, point, copy_gbs),
        ]  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _reach(case: Document, point: Document, copy_gbs: float | None) -> str:
    """Bytes read per second while decoding (weights in use and cache) as a part of the measured copy bandwidth."""
    if not copy_gbs or not point.get("decode_tps"):
        return "–"
    read = (case["read_per_token_mib"] + point["kv_mib"]) * MIB
    return f"{read * point['decode_tps'] / 1e9 / copy_gbs:.0%}"


def _copy_gbs(document: Document) -> float | None:
    lines = [line for case in document["cases"] if case["kind"] == "compute" for line in case.get("lines", [])]
    return next((line.get("bandwidth_gbs") for line in lines if line["id"] == "memory.copy"), None)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _interval(value: Document | None, form: str) -> str:
    return "–" if not value else f"{value['value']:{form}} ({value['low']:{form}}–{value['high']:{form}})"


def _plain(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "/")[:160]
