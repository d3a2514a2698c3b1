"""Is a measured run slow for its hardware, and why?

Below half of the predicted decode speed a run is called slow: nine in ten honest published runs of one GPU reach three
quarters of it (`speed.toml`, `spreads`), so a threshold nearer to 1 would accuse healthy machines. Reasons come in the
order in which they cost most; those that a reading proves stand before those that nobody looked at.
"""

from __future__ import annotations

from collections.abc import Callable

from envcheck.schema.errors import InputError
from envcheck.schema.hardware import HardwareRow
from envcheck.schema.speed import MeasuredRun, SlowReason, SlowVerdict, SpeedBand

SLOW_BELOW = 0.5
_FULL = 0.97
"""A card this full next to a model that does not fit pages to system memory (WDDM, GTT) instead of failing."""
_LOWERED_POWER = 0.8
_MUCH = 0.25
"""Of all processor time. Engines' threads wait for each other at barriers, so that a share taken from one stops all."""
_OF_PROCESSORS = ("cpu_fallback", "shared_processor")
"""What can slow down a machine without a GPU; the others are about a card."""
_SLOWDOWN = ("thermal", "power", "slowdown", "brake", "sync_boost")

_Question = Callable[[MeasuredRun, HardwareRow | None], bool | None]


def judge(run: MeasuredRun, predicted: SpeedBand, card: HardwareRow | None = None) -> SlowVerdict:
    """Compare a measured run with its prediction; where it is slow, name the likely reasons in order."""
    if run.decode_tps < 0 or predicted.decode_tps.value <= 0:
        raise InputError(f"A measured speed of {run.decode_tps} tokens/s cannot be judged: measure again.")
    value, low = predicted.decode_tps.value, predicted.decode_tps.low
    ratio = run.decode_tps / value
    if ratio >= SLOW_BELOW:
        said = (
            "as expected"
            if run.decode_tps >= low
            else "below the expected band, but not slow enough to point at a fault"
        )
        return SlowVerdict(
            slow=False, ratio=ratio, says=f"{run.decode_tps:.1f} tokens/s, {ratio:.2f} of predicted: {said}"
        )
    says = f"slow for this hardware: {run.decode_tps:.1f} tokens/s where {value:.1f} are expected ({ratio:.2f})"
    return SlowVerdict(slow=True, ratio=ratio, says=says, reasons=_reasons(run, card))


def _reasons(run: MeasuredRun, card: HardwareRow | None) -> tuple[SlowReason, ...]:
    """Proved reasons first, then those that could not be looked at; what a reading excludes is left out."""
    asked = [row for row in _CAUSES if row[0] in _OF_PROCESSORS or card is not None or run.device_used != "cpu"]
    answers = [(holds(run, card), cause, says, remedy) for cause, holds, says, remedy in asked]
    proved = [
        SlowReason(cause=cause, says=says, remedy=remedy, proved=True)
        for holds, cause, says, remedy in answers
        if holds
    ]
    unseen = [
        SlowReason(cause=cause, says=says, remedy=remedy, proved=False)
        for holds, cause, says, remedy in answers
        if holds is None
    ]
    return (*proved, *unseen)


def _on_cpu(run: MeasuredRun, card: HardwareRow | None) -> bool | None:
    if card is None and run.device_used is None:
        return None
    return None if run.device_used is None else run.device_used == "cpu" and card is not None


def _partly_on_cpu(run: MeasuredRun, card: HardwareRow | None) -> bool | None:
    if run.device_used == "cpu" or card is None:
        return False
    return None if run.gpu_share is None else run.gpu_share < 0.999


def _spilled(run: MeasuredRun, card: HardwareRow | None) -> bool | None:
    if run.device_used == "cpu":
        return False
    total = run.gpu_memory_total_mib or (card.memory_mib if card else None)
    return None if run.gpu_memory_used_mib is None or not total else run.gpu_memory_used_mib >= _FULL * total


def _narrow_slot(run: MeasuredRun, card: HardwareRow | None) -> bool | None:  # noqa: ARG001
    width = _below(run.pcie_width, run.pcie_width_max)
    generation = _below(run.pcie_generation, run.pcie_generation_max)
    if width is None and generation is None:
        return None
    return bool(width) or bool(generation)


def _below(value: int | None, most: int | None) -> bool | None:
    return None if value is None or most is None else value < most


def _power_limited(run: MeasuredRun, card: HardwareRow | None) -> bool | None:
    usual = run.power_default_w or (card.tdp_w if card else None)
    return None if run.power_limit_w is None or not usual else run.power_limit_w < _LOWERED_POWER * usual


def _throttled(run: MeasuredRun, card: HardwareRow | None) -> bool | None:  # noqa: ARG001
    if not run.throttle_reasons:
        return None
    return any(word in reason for reason in run.throttle_reasons for word in _SLOWDOWN)


def _wrong_build(run: MeasuredRun, card: HardwareRow | None) -> bool | None:
    if not run.build_targets or card is None:
        return None
    own = card.gfx or (f"sm_{card.compute_capability.replace('.', '')}" if card.compute_capability else None)
    return None if own is None else own not in run.build_targets


def _shared_card(run: MeasuredRun, card: HardwareRow | None) -> bool | None:  # noqa: ARG001
    return None if run.other_gpu_processes is None else run.other_gpu_processes > 0


def _shared_processor(run: MeasuredRun, card: HardwareRow | None) -> bool | None:
    """Of a run that needs the processor: one on a GPU hardly does."""
    if run.device_used == "gpu" or (run.device_used is None and card is not None):
        return False
    return None if run.others_cpu_share is None else run.others_cpu_share > _MUCH


_CAUSES: tuple[tuple[str, _Question, str, str], ...] = (
    (
        "cpu_fallback",
        _on_cpu,
        "the engine computes on the CPU although a GPU is there",
        "install the engine's GPU build and see that it lists the card when it starts",
    ),
    (
        "partial_offload",
        _partly_on_cpu,
        "part of the layers lies in system memory, which every token waits for",
        "put all layers on the GPU (-ngl 99, num_gpu), or take a smaller quantization or context",
    ),
    (
        "memory_spill",
        _spilled,
        "the card is full and the driver pages to system memory",
        "free GPU memory, shorten the context, or choose a smaller quantization",
    ),
    (
        "pcie_slot",
        _narrow_slot,
        "the card's link is narrower or slower than the card supports",
        "move the card to a slot of the CPU and switch on Resizable BAR (Above 4G Decoding)",
    ),
    (
        "power_limit",
        _power_limited,
        "the power limit is set far below the card's own",
        "raise it: nvidia-smi -pl WATTS, or rocm-smi --setpoweroverdrive WATTS",
    ),
    (
        "throttling",
        _throttled,
        "the driver reports that clocks are held down (heat or power)",
        "clean and improve the cooling, check the power supply, and look at the clocks under load",
    ),
    (
        "wrong_build",
        _wrong_build,
        "the engine has no kernels compiled for this card and runs translated or generic ones",
        "install a build that lists this GPU's target",
    ),
    (
        "shared_gpu",
        _shared_card,
        "other processes use the card at the same time",
        "stop them, or measure when the card is idle",
    ),
    (
        "shared_processor",
        _shared_processor,
        "other programs took much of the processor's time meanwhile",
        "stop them, or measure when the machine is idle",
    ),
)
"""Cause, whether it holds (None: nobody looked), what to say and what to do; the most expensive first."""
