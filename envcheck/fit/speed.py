"""How fast a model will run on this hardware: decode, prompt, first token and total throughput, each as a band."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from envcheck.fit import speed_terms
from envcheck.fit.speed_tables import engine_class, tables, terms
from envcheck.fit.speed_terms import Constants
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Unknown
from envcheck.schema.speed import Band, SpeedBand, Workload

_ABSURD = 100.0
"""A machine this many times faster than predicted was not measured but mistyped."""
_UNLISTED_WIDTH = 1.5
"""How much wider, as a power, bands are for hardware that is in no table."""
_DEFAULT_SLOTS = {"llama": 4, "ollama": 1}
"""Requests llama-server and Ollama work on at a time unless told otherwise (`--parallel`, OLLAMA_NUM_PARALLEL)."""


def predict(w: Workload) -> SpeedBand | Unknown:
    """Predicted speed of a workload, or why there is none (a bandwidth nobody states is never guessed).

    The decode figure is that of one stream at the middle of its output; throughput counts the time of the prompts.
    """
    _refuse_nonsense(w)
    engine = engine_class(w.engine)
    found = point(w, terms())
    if found is None:
        return Unknown(why=_what_is_missing(w))
    streams = _served(w, engine)
    return SpeedBand(
        decode_tps=_band(w, "decode", found.decode_tps),
        prefill_tps=_band(w, "prefill", found.prefill_tps) if found.prefill_tps else None,
        ttft_ms=_band(w, "ttft", found.ttft_ms) if found.ttft_ms else None,
        throughput_tps=_band(w, "throughput", found.throughput_tps),
        basis="calculated; constants fitted on public measurements",
        assumptions=tuple(_assumptions(w, engine, streams)),
    )


class Point(NamedTuple):
    """A prediction without its band."""

    decode_tps: float
    throughput_tps: float
    prefill_tps: float | None
    ttft_ms: float | None


def point(w: Workload, k: Constants) -> Point | None:
    """The prediction with given constants; None where a bandwidth is not known."""
    engine = engine_class(w.engine)
    streams = _served(w, engine)
    middle = w.depth + w.prompt_tokens + w.output_tokens / 2.0
    step = speed_terms.decode_seconds(w, engine, streams, middle, k)
    if step is None:
        return None
    if streams > 1:
        # At worst one after the other: a step for all never takes longer than one for each.
        step = min(step, streams * (speed_terms.decode_seconds(w, engine, 1, middle, k) or step))
    prompt = speed_terms.prefill_seconds(w, engine, k) if w.prompt_tokens else None
    together = speed_terms.prefill_seconds(w, engine, k, streams) if prompt else 0.0
    # Requests that come together wait for each other's prompts: the average one for half of them.
    queue = speed_terms.prefill_seconds(w, engine, k, (w.concurrency + 1) / 2.0) if prompt else None
    return Point(
        decode_tps=1.0 / step,
        throughput_tps=_throughput(w, streams, step, together or 0.0),
        prefill_tps=w.prompt_tokens / prompt if prompt else None,
        ttft_ms=1e3 * queue if queue else None,
    )


def learn(measured_over_predicted: Sequence[float]) -> float:
    """This machine's own factor: the median of measured / predicted over its runs. Raises InputError without any."""
    usable = [ratio for ratio in measured_over_predicted if 0.0 < ratio < _ABSURD]
    if not usable:
        raise InputError("No run to learn this machine's speed from: measure at least one model first.")
    return statistics.median(usable)


def calibrate(band: SpeedBand, factor: float, runs: int) -> SpeedBand:
    """The band scaled by this machine's own measured / predicted decode factor, and saying so.

    The spread becomes the one that public measurements of one machine keep around that machine's own factor.
    """
    if not 0.0 < factor < _ABSURD or runs < 1:
        raise InputError(f"A calibration factor of {factor} from {runs} runs cannot be used: measure again.")
    own = tables().spreads["calibrated"]

    def scaled(each: Band) -> Band:
        value = each.value * factor
        return Band(value=value, low=value * own.low, high=value * own.high)

    return SpeedBand(
        decode_tps=scaled(band.decode_tps),
        throughput_tps=scaled(band.throughput_tps),
        prefill_tps=band.prefill_tps,
        ttft_ms=band.ttft_ms,
        basis=f"calibrated on this machine, {runs} run{'s' if runs != 1 else ''}",
        assumptions=(*band.assumptions, f"decode speed times {factor:.2f}, measured on this machine"),
    )


def _served(w: Workload, engine: str) -> int:
    """Requests worked on at a time: those that come, or as many as the server has slots for."""
    slots = w.parallel_slots or _DEFAULT_SLOTS.get(engine)
    return max(min(w.concurrency, slots or w.concurrency), 1)


def _throughput(w: Workload, streams: int, step: float, prompts: float) -> float:
    """Output tokens per second of all streams: the prompts take their time from everybody."""
    tokens = max(w.output_tokens, 1)
    return streams * tokens / (prompts + tokens * step)


def _band(w: Workload, quantity: str, value: float) -> Band:
    spread = tables().spreads[f"{quantity}_{_class_of_run(w, quantity)}"]
    unlisted = not w.gpus[0].source if w.gpus else w.processor is not None and w.processor.assumed
    width = _UNLISTED_WIDTH if unlisted and (w.gpus or quantity in ("prefill", "ttft")) else 1.0
    return Band(value=value, low=value * spread.low**width, high=value * spread.high**width)


def _class_of_run(w: Workload, quantity: str) -> str:
    if quantity in ("ttft", "throughput"):
        return "any"
    if not w.gpus:
        return "cpu"
    if w.gpu_share < 1.0:
        return "hybrid"
    if len(w.gpus) > 1:
        return "multi"
    if engine_class(w.engine) == "eager":
        return "eager"
    return "moe" if w.shape.is_moe else "dense"


def _assumptions(w: Workload, engine: str, streams: int) -> list[str]:
    said = []
    if w.gpu_bandwidth_gbs:
        said.append(f"memory bandwidth {w.gpu_bandwidth_gbs:.0f} GB/s as measured here")
    elif w.gpus:
        said.append(f"{w.gpus[0].name}: {w.gpus[0].bandwidth_gbs:.0f} GB/s (hardware table)")
    if w.processor is not None and (not w.gpus or w.gpu_share < 1.0):
        said.append(f"{w.processor.name}: {w.processor.bandwidth_gbs:.0f} GB/s, {w.processor.cores} cores")
    if streams < w.concurrency:
        said.append(f"{w.engine} works on {streams} of {w.concurrency} requests at a time")
    if engine == "eager":
        said.append(f"{w.engine} launches its kernels one by one")
    if w.split != "none" and len(w.gpus) > 1:
        said.append(f"{len(w.gpus)} GPUs, {w.split} split")
    return said


def _what_is_missing(w: Workload) -> str:
    if not w.gpus or w.gpu_share < 1.0:
        return "the memory bandwidth of the CPU is not known"
    return f"no source states the memory bandwidth of {w.gpus[0].name!r}: measure it, or give it"


def _refuse_nonsense(w: Workload) -> None:
    if w.weight_bytes <= 0 or w.shape.params <= 0 or w.shape.layers <= 0:
        raise InputError("The model has no size: a speed needs its parameters and the bytes of its weights.")
    if not 0.0 <= w.gpu_share <= 1.0:
        raise InputError(f"The share on the GPU is {w.gpu_share}: it lies between 0 and 1.")
    if min(w.depth, w.prompt_tokens, w.output_tokens, w.concurrency) < 0:
        raise InputError("Context, prompt, output and concurrency cannot be negative.")
