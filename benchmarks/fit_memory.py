"""Error of the memory predictions on measured start-ups, and the interval widths that cover nine of ten.

    python benchmarks/fit_memory.py MEASUREMENTS.jsonl > benchmarks/fit_memory_DATE.txt

MEASUREMENTS.jsonl holds one start-up a line: what was known before (engine, model, architecture, settings), what the
engine's log or a published benchmark measured, and the address it was read at. Nothing is fitted to single lines; this
script only measures residuals and derives half-widths from them.

Split conformal: threads (addresses) are dealt into five folds; for each fold the half-width is the 90 % quantile, with
the finite-sample correction ceil(0.9 (n + 1)) / n, of |measured / predicted - 1| over the other folds, and coverage is
counted on the fold left out. The width shipped is that of all lines, rounded up to the precision logs are printed with.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from envcheck.fit.estimate import answer

FOLDS = 5
COVER = 0.9
KNOWN_BEFORE = (
    "id", "engine", "engine_fork", "engine_version", "gpu", "model", "gguf_file", "arch", "quant", "tensor_types",
    "size_printed", "params_printed", "settings",
)  # fmt: skip
QUANTITIES = ("total_gpu", "weights_gpu", "kv_tokens", "kv_needed_for_max_len", "torch_max_allocated")


def request_of(row: dict[str, Any]) -> dict[str, Any]:
    """What may be known before a start."""
    request = {key: row[key] for key in KNOWN_BEFORE}
    if row["engine"] == "vllm" and "kv_budget" in row["measured"]:
        request["given"] = {"kv_budget": row["measured"]["kv_budget"]}
    elif row["devices_used"]:
        request["given"] = {"devices_used": row["devices_used"]}
    return request


def quantity(values: dict[str, Any], name: str) -> float | None:
    """One measured or predicted figure; the total is weights, cache, state and compute buffers on the GPUs."""
    if name != "total_gpu":
        return values.get(name)
    kv = values.get("kv_gpu", values.get("kv") if "kv_cpu" not in values else None)
    if kv is None or "weights_gpu" not in values or "compute_gpu" not in values:
        return None
    return float(values["weights_gpu"] + kv + values.get("recurrent_state", 0) + values["compute_gpu"])


def residuals(rows: list[dict[str, Any]]) -> dict[str, list[tuple[str, float]]]:
    """situation -> [(address, measured / predicted - 1)]."""
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        reply = answer(request_of(row))
        if "unknown" in reply:
            found["unknown"].append((row["url"], 0.0))
            continue
        for name in QUANTITIES:
            llama = row["engine"] in ("llama.cpp", "ollama")
            if llama != (name == "total_gpu"):
                continue
            measured, predicted = quantity(row["measured"], name), quantity(reply["memory_mib"], name)
            if measured and predicted:
                situation = reply["situation"] if isinstance(reply["situation"], str) else reply["situation"][name]
                found[situation].append((row["url"], measured / predicted - 1))
    return found


def width(errors: list[float]) -> float:
    """The conformal quantile of absolute errors."""
    ranked = sorted(abs(e) for e in errors)
    rank = min(math.ceil(COVER * (len(ranked) + 1)), len(ranked))
    return ranked[rank - 1]


def fold(address: str) -> int:
    return hashlib.sha256(address.encode()).digest()[0] % FOLDS


def crossed(pairs: list[tuple[str, float]]) -> float | None:
    """Coverage on the folds left out; None with too few threads to leave any out."""
    inside = asked = 0
    for left_out in range(FOLDS):
        others = [e for address, e in pairs if fold(address) != left_out]
        held = [e for address, e in pairs if fold(address) == left_out]
        if others and held:
            half = width(others)
            inside += sum(abs(e) <= half for e in held)
            asked += len(held)
    return inside / asked if asked else None


def main() -> None:
    rows = [r for r in map(json.loads, Path(sys.argv[1]).read_text().splitlines()) if not r["skip"]]
    found = residuals(rows)
    print(f"{len(rows)} start-ups of {len({r['url'] for r in rows})} addresses; "
          f"{len(found.pop('unknown', []))} answered with 'unknown'")  # fmt: skip
    heads = ("n", "threads", "median", "p90", "worst", "half-width", "crossed")
    print(f"{'situation':36} " + " ".join(f"{head:>10}" for head in heads))
    for situation, pairs in sorted(found.items()):
        errors = [e for _, e in pairs]
        ranked = sorted(abs(e) for e in errors)
        p90 = ranked[math.ceil(0.9 * len(ranked)) - 1]
        cover = crossed(pairs)
        figures = (statistics.median(ranked), p90, ranked[-1], width(errors))
        print(
            f"{situation:36} {len(pairs):10} {len({a for a, _ in pairs}):10} "
            + " ".join(f"{figure:10.4f}" for figure in figures)
            + f" {'-' if cover is None else f'{cover:.2f}':>10}"
        )


if __name__ == "__main__":
    main()
