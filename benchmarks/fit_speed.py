#!/usr/bin/env python3
"""Fit the constants of the speed model to measured runs, and say how well they carry over.

    fit_speed.py MEASUREMENTS.jsonl [--write] [--report FILE]

MEASUREMENTS holds one published run a line: the fields of `envcheck.schema.speed.SpeedRequest` with `value`, `url`,
`quality`, `suspect` and `spec_decode`. Only tool output and authors' tables without suspicion are used. Each stage fits
a few constants by damped least squares on log(predicted / measured) with a soft-L1 loss, held to a prior so that a
constant that few runs speak about stays where physics put it. Errors are given in sample, for GPUs left out and for
sources left out; bands are the 10th and 90th percentile of measured / predicted over all three.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from envcheck.fit.speed import _class_of_run, point
from envcheck.fit.speed_batch import workload
from envcheck.fit.speed_tables import terms
from envcheck.resources import folder
from envcheck.schema.speed import SpeedRequest, Workload

FOLDS = 8
NEIGHBOUR = {
    "decode_hybrid": "decode_cpu",
    "prefill_hybrid": "prefill_moe",
    "prefill_multi": "prefill_moe",
    "prefill_eager": "prefill_moe",
}
"""Classes of run that no measurement in the groups speaks about, and the class whose band they borrow."""
NOISE = 0.15
"""Scale of log(predicted / measured) between ordinary and outlying."""

Constants = dict[str, float]


class Run(NamedTuple):
    """One measured run and the question it answers."""

    ident: str
    question: Workload
    metric: str
    measured: float
    hardware: str
    source: str
    group: str


class Stage(NamedTuple):
    """Constants that are fitted together, with the groups of runs that speak about them."""

    name: str
    groups: tuple[str, ...]
    constants: dict[str, tuple[float, float]]
    """Prior of each: its centre, and the standard deviation of its logarithm."""
    tied: dict[str, tuple[str, ...]]
    """Constants that keep their ratio to a fitted one."""


STAGES = (
    Stage(
        "decode, one GPU",
        ("decode_single", "decode_deep"),
        {
            "decode.share_gddr": (0.93, 0.05),
            "decode.share_hbm": (0.7, 0.3),
            "decode.share_soc": (0.8, 0.15),
            "decode.share_kv": (0.7, 0.4),
            "decode.share_kv_flash": (0.85, 0.15),
            "decode.moe": (1.1, 0.3),
            "decode.unpack_int4": (5, 0.7),
            "decode.unpack_low_bit": (6, 0.7),
            "decode.unpack_codebook": (40, 0.7),
            "decode.launch_llama": (80, 0.7),
            "decode.launch_ollama": (120, 0.7),
            "decode.launch_fused": (40, 0.7),
            "decode.launch_vllm": (100, 0.7),
            "decode.launch_awq": (80, 0.7),
            "decode.launch_eager": (500, 0.7),
            "decode.weak_host": (400, 0.7),
        },
        {"decode.unpack_int4": ("decode.unpack_int8",)},
    ),
    Stage("several GPUs", ("decode_multi_gpu",), {"multi.all_reduce": (50, 1.0), "multi.hand_over": (300, 1.0)}, {}),
    Stage(
        "prompts",
        ("prefill_single", "prefill_deep"),
        {
            "prefill.geforce": (1.3, 0.4),
            "prefill.professional": (0.7, 0.4),
            "prefill.hbm": (1.0, 0.4),
            "prefill.cuda_untold": (1.5, 0.4),
            "prefill.pascal": (1.3, 0.4),
            "prefill.metal": (0.7, 0.4),
            "prefill.rocm": (0.5, 0.4),
            "prefill.vulkan": (0.3, 0.4),
            "prefill.sycl": (1.3, 0.4),
            "prefill.per_watt": (0.55, 0.4),
            "prefill.f16": (1.2, 0.2),
            "prefill.moe": (1.0, 0.5),
            "prefill.experts": (2.0, 0.5),
            "prefill.attention": (0.2, 0.5),
            "prefill.attention_flash": (0.4, 0.7),
            "prefill.start_llama": (1.0, 1.0),
            "prefill.start_ollama": (200, 1.0),
            "prefill.start_awq": (50, 1.0),
        },
        {},
    ),
    Stage(
        "servers",
        ("output_throughput", "ttft"),
        {
            "decode.batch": (1.0, 0.15),
            "decode.sequence": (20, 0.7),
            "decode.experts": (0.8, 0.1),
            "prefill.serving": (0.7, 0.3),
            "prefill.start_vllm": (12, 0.7),
            "prefill.start_fused": (8, 0.7),
        },
        {},
    ),
    Stage(
        "decode on the CPU",
        ("decode_cpu",),
        {
            "cpu.share": (0.7, 0.4),
            "cpu.kv_eager": (10, 0.7),
            "cpu.ik": (0.45, 0.5),
            "cpu.launch": (8, 0.7),
            "cpu.unpack_f16": (0.9, 0.5),
            "cpu.unpack_int4": (2, 0.5),
            "cpu.unpack_codebook": (5, 0.5),
        },
        {"cpu.unpack_int4": ("cpu.unpack_int8", "cpu.unpack_low_bit")},
    ),
    Stage("prompts on the CPU", ("prefill_cpu",), {"cpu.matrix": (0.4, 0.7)}, {}),
)


def honest(r: dict[str, Any]) -> bool:
    """Tool output or an author's table, nothing suspect about it, no draft model."""
    return r["quality"] in ("A", "B") and not r["suspect"] and not r["spec_decode"]


def group_of(r: dict[str, Any]) -> str | None:
    """The group a run is judged in, or None."""
    if not honest(r):
        return None
    if r["metric"] in ("output_throughput", "ttft_ms"):
        return "ttft" if r["metric"] == "ttft_ms" else "output_throughput"
    if r["metric"] in ("decode_tps", "prefill_tps") and r["run_device"] == "cpu":
        return "decode_cpu" if r["metric"] == "decode_tps" else "prefill_cpu"
    if r["metric"] == "decode_tps" and (r["n_gpus"] or 1) > 1:
        return "decode_multi_gpu"
    if r["run_device"] != "gpu" or (r["n_gpus"] or 1) > 1 or (r["concurrency"] or 1) > 1 or not r["hardware_name"]:
        return None
    deep = (r["depth"] or 0) > 512
    return {
        "decode_tps": "decode_deep" if deep else "decode_single",
        "prefill_tps": "prefill_deep" if deep else "prefill_single",
    }.get(r["metric"])


def load(path: Path) -> list[Run]:
    """The runs that can be asked about, with their group."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        r = json.loads(line)
        group = group_of(r)
        question = workload(msgspec.convert(r, SpeedRequest)) if group else None
        if group and isinstance(question, Workload) and _value(question, r["metric"], terms()) is not None:
            source = "/".join(re.sub(r"https?://", "", r["url"]).split("/")[:3])
            hardware = r["hardware_name"] or r["cpu"]
            found.append(Run(r["id"], question, r["metric"], float(r["value"]), hardware, source, group))
    return found


def _value(question: Workload, metric: str, k: Constants) -> float | None:
    found = point(question, k)
    if found is None:
        return None
    return {
        "decode_tps": found.decode_tps,
        "prefill_tps": found.prefill_tps,
        "ttft_ms": found.ttft_ms,
        "output_throughput": found.throughput_tps,
    }[metric]


def log_ratio(run: Run, k: Constants) -> float:
    """log(predicted / measured)."""
    value = _value(run.question, run.metric, k)
    if value is None:
        raise ValueError(run.ident)
    return math.log(value / run.measured)


def with_moves(k: Constants, stage: Stage, moves: Sequence[float]) -> Constants:
    """The constants with each of the stage's moved by a factor exp(move)."""
    moved = dict(k)
    for name, move in zip(stage.constants, moves, strict=True):
        moved[name] = k[name] * math.exp(move)
        for other in stage.tied.get(name, ()):
            moved[other] = k[other] * math.exp(move)
    return moved


def at_priors(stage: Stage, k: Constants) -> Constants:
    """The constants with the stage's at the centre of their priors, so that a fit does not depend on an earlier one."""
    moved = dict(k)
    for name, (centre, _) in stage.constants.items():
        moved[name] = centre
        for other in stage.tied.get(name, ()):
            moved[other] = k[other] * centre / k[name]
    return moved


def fit(stage: Stage, runs: Sequence[Run], k: Constants, rounds: int = 20) -> Constants:
    """Levenberg-Marquardt on soft-L1 residuals with a Gaussian prior on each move."""
    names = list(stage.constants)
    spread = [stage.constants[name][1] for name in names]
    k = at_priors(stage, k)
    moves, damping = [0.0] * len(names), 1e-2
    cost = _cost(stage, runs, k, moves, spread)
    for _ in range(rounds):
        matrix, vector = _normal_equations(stage, runs, k, moves, spread)
        for _ in range(6):
            damped = [
                [v + (damping * (1 + v) if i == j else 0.0) for j, v in enumerate(row)] for i, row in enumerate(matrix)
            ]
            step = solve(damped, vector)
            tried = [m - s for m, s in zip(moves, step, strict=True)]
            new = _cost(stage, runs, k, tried, spread)
            if new < cost:
                moves, cost, damping = tried, new, damping / 3
                break
            damping *= 4
        else:
            break
    return with_moves(k, stage, moves)


def _cost(stage: Stage, runs: Sequence[Run], k: Constants, moves: Sequence[float], spread: Sequence[float]) -> float:
    moved = with_moves(k, stage, moves)
    data = sum(2 * (math.sqrt(1 + (log_ratio(run, moved) / NOISE) ** 2) - 1) for run in runs)
    return data + sum((m / s) ** 2 for m, s in zip(moves, spread, strict=True))


def _normal_equations(
    stage: Stage, runs: Sequence[Run], k: Constants, moves: list[float], spread: Sequence[float]
) -> tuple[list[list[float]], list[float]]:
    n, step = len(moves), 1e-3
    at = with_moves(k, stage, moves)
    beside = [with_moves(k, stage, [m + step * (i == j) for j, m in enumerate(moves)]) for i in range(n)]
    matrix = [[(1 / spread[i] ** 2 if i == j else 0.0) for j in range(n)] for i in range(n)]
    vector = [moves[i] / spread[i] ** 2 for i in range(n)]
    for run in runs:
        residual = log_ratio(run, at) / NOISE
        weight = 1 / math.sqrt(1 + residual**2)
        slopes = [(log_ratio(run, other) / NOISE - residual) / step for other in beside]
        for i in range(n):
            if slopes[i]:
                vector[i] += weight * slopes[i] * residual
                for j in range(n):
                    matrix[i][j] += weight * slopes[i] * slopes[j]
    return matrix, vector


def solve(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> list[float]:
    """The solution of a small system of linear equations (Gaussian elimination with pivoting)."""
    rows = [[*row, value] for row, value in zip(matrix, vector, strict=True)]
    n = len(rows)
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, n):
            factor = rows[r][i] / rows[i][i]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i], strict=True)]
    found = [0.0] * n
    for i in reversed(range(n)):
        found[i] = (rows[i][n] - sum(rows[i][j] * found[j] for j in range(i + 1, n))) / rows[i][i]
    return found


def fit_all(runs: Sequence[Run], start: Constants) -> Constants:
    """All stages in order; later stages see the constants of earlier ones."""
    k = dict(start)
    for stage in STAGES:
        of_stage = [run for run in runs if run.group in stage.groups]
        if of_stage:
            k = fit(stage, of_stage, k)
    return k


def left_out(runs: Sequence[Run], start: Constants, key: Callable[[Run], str]) -> dict[str, float]:
    """log(predicted / measured) of every run, from a fit that saw nothing with the same key."""
    fold = {run.ident: int(hashlib.sha256(key(run).encode()).hexdigest(), 16) % FOLDS for run in runs}
    found = {}
    for number in range(FOLDS):
        seen = [run for run in runs if fold[run.ident] != number]
        k = fit_all(seen, start)
        found.update({run.ident: log_ratio(run, k) for run in runs if fold[run.ident] == number})
    return found


def errors(runs: Sequence[Run], ratios: dict[str, float]) -> str:
    """Median and 90th percentile of |predicted / measured - 1|."""
    found = sorted(abs(math.expm1(ratios[run.ident])) for run in runs)
    return f"{statistics.median(found):.3f} / {found[math.ceil(0.9 * len(found)) - 1]:.3f}"


def quantile(sorted_values: Sequence[float], share: float) -> float:
    """Linear interpolation between order statistics."""
    place = share * (len(sorted_values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(sorted_values) - 1)
    return sorted_values[low] + (place - low) * (sorted_values[high] - sorted_values[low])


def spreads(runs: Sequence[Run], ratios: dict[str, dict[str, float]]) -> dict[str, tuple[float, float, int]]:
    """10th and 90th percentile of measured / predicted by class of run.

    In-sample, GPU-out and source-out ratios are pooled: a run that somebody asks about may be like those seen, on a
    card never seen, or made in a way never seen.
    """
    by_class: dict[str, list[float]] = {}
    for run in runs:
        quantity = {"decode_tps": "decode", "prefill_tps": "prefill", "ttft_ms": "ttft"}.get(run.metric, "throughput")
        of_class = by_class.setdefault(f"{quantity}_{_class_of_run(run.question, quantity)}", [])
        of_class.extend(-kind[run.ident] for kind in ratios.values())
    found = {}
    for name, values in by_class.items():
        values.sort()
        low, high = quantile(values, 0.1), quantile(values, 0.9)
        found[name] = (math.exp(min(low, -0.05)), math.exp(max(high, 0.05)), len(values) // len(ratios))
    for name, like in NEIGHBOUR.items():
        found.setdefault(name, (*found[like][:2], 0))
    found["calibrated"] = own_machine([run for run in runs if run.metric == "decode_tps"], ratios["gpu"])
    return found


def own_machine(runs: Sequence[Run], ratios: dict[str, float]) -> tuple[float, float, int]:
    """Spread of decode runs around the median of the other runs of one machine (same source, hardware and engine)."""
    machines: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        machines.setdefault((run.source, run.hardware, run.question.engine), []).append(-ratios[run.ident])
    rest = sorted(
        value - statistics.median(values[:i] + values[i + 1 :])
        for values in machines.values()
        if len(values) > 3
        for i, value in enumerate(values)
    )
    return math.exp(quantile(rest, 0.1)), math.exp(quantile(rest, 0.9)), len(rest)


def report(runs: Sequence[Run], k: Constants, ratios: dict[str, dict[str, float]]) -> str:
    """What was reached, group by group, and the constants."""
    lines = [f"Fit of the speed model, {datetime.now(UTC):%Y-%m-%d}: {len(runs)} runs, {FOLDS} folds", ""]
    lines.append("median / p90 of |predicted / measured - 1|")
    lines.append(f"{'group':24}{'runs':>6}  {'in sample':16}{'GPUs left out':16}{'sources left out':16}")
    groups = sorted({run.group for run in runs})
    dense_moe = [("decode_single dense", False), ("decode_single MoE", True)]
    parts = [(name, [run for run in runs if run.group == name]) for name in groups]
    parts += [
        (name, [r for r in runs if r.group == "decode_single" and r.question.shape.is_moe == moe])
        for name, moe in dense_moe
    ]
    for name, members in parts:
        cells = "".join(f"{errors(members, ratios[kind]):16}" for kind in ("in sample", "gpu", "source"))
        lines.append(f"{name:24}{len(members):6}  {cells}")
    lines += ["", "measured / predicted, p10 and p90 over the three kinds together (the bands)"]
    for name, (low, high, n) in sorted(spreads(runs, ratios).items()):
        lines.append(f"{name:24}{n:6}  {low:.2f} .. {high:.2f}")
    lines += ["", "constants"]
    fitted = {name for stage in STAGES for name in (*stage.constants, *(o for t in stage.tied.values() for o in t))}
    lines += [f"{name:28}{value:10.4g}{'' if name in fitted else '   held'}" for name, value in k.items()]
    return "\n".join(lines) + "\n"


def write_constants(k: Constants, bands: dict[str, tuple[float, float, int]], rows: int) -> None:
    """Put the numbers into speed.toml, line by line, so that its comments and order stay."""
    path = folder("requirements_matrix") / "speed.toml"
    table, lines = "", []
    for line in path.read_text(encoding="utf-8").splitlines():
        key = line.split(" = ")[0]
        if line.startswith("["):
            table = line.strip("[]").removeprefix("terms.")
        if line.startswith("source ="):
            line = f'source = "benchmarks/fit_speed.py on {rows} published runs, {datetime.now(UTC):%Y-%m-%d}"'
        elif f"{table}.{key}" in k:
            rounded = f"{k[f'{table}.{key}']:.4g}"
            line = f"{key} = {float(rounded)}"
        elif table == "spreads" and key in bands:
            low, high, n = bands[key]
            line = f"{key} = {{ low = {low:.3f}, high = {high:.3f}, rows = {n} }}"
        lines.append(line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Fit, cross-validate, report, and write the constants if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measurements", type=Path)
    parser.add_argument("--write", action="store_true", help="replace the constants in requirements_matrix/speed.toml")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--quick", action="store_true", help="in sample only")
    asked = parser.parse_args()
    start, runs = terms(), load(asked.measurements)
    k = fit_all(runs, start)
    ratios = {"in sample": {run.ident: log_ratio(run, k) for run in runs}}
    for kind, key in (("gpu", lambda run: run.hardware), ("source", lambda run: run.source)):
        ratios[kind] = ratios["in sample"] if asked.quick else left_out(runs, start, key)
    text = report(runs, k, ratios)
    sys.stdout.write(text)
    if asked.report:
        asked.report.write_text(text, encoding="utf-8")
    if asked.write:
        write_constants(k, spreads(runs, ratios), len(runs))


if __name__ == "__main__":
    main()
