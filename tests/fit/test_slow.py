"""When a run is called slow, and in which order the reasons come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck import hardware
from envcheck.fit.slow import judge
from envcheck.schema.errors import InputError
from envcheck.schema.speed import Band, MeasuredRun, SpeedBand

BAND = Band(value=100.0, low=75.0, high=125.0)
PREDICTED = SpeedBand(decode_tps=BAND, throughput_tps=BAND, basis="calculated")
CARD = hardware.find("AMD Radeon RX 7900 XTX")
ALL_SEEN = {
    "device_used": "gpu",
    "gpu_share": 1.0,
    "gpu_memory_used_mib": 8000,
    "pcie_width": 16,
    "pcie_width_max": 16,
    "power_limit_w": 355.0,
    "throttle_reasons": ("none",),
    "build_targets": ("gfx1100",),
    "other_gpu_processes": 0,
}


def run(tps: float, **seen: object) -> MeasuredRun:
    return MeasuredRun(decode_tps=tps, **seen)  # type: ignore[arg-type]


@pytest.mark.parametrize(("tps", "slow"), [(130.0, False), (100.0, False), (60.0, False), (50.0, False), (49.0, True)])
def test_slow_begins_below_half(tps: float, slow: bool) -> None:
    found = judge(run(tps), PREDICTED, CARD)
    assert found.slow is slow
    assert found.ratio == pytest.approx(tps / 100.0)
    assert bool(found.reasons) is slow


def test_below_the_band_is_said_without_accusing() -> None:
    assert "below the expected band" in judge(run(60.0), PREDICTED, CARD).says


@pytest.mark.parametrize(
    ("seen", "cause"),
    [
        ({"device_used": "cpu"}, "cpu_fallback"),
        ({"gpu_share": 0.6}, "partial_offload"),
        ({"gpu_memory_used_mib": 24400}, "memory_spill"),
        # One RX 7900 XTX gave 32 instead of 173 tokens/s in a chipset slot (published, runs of 2025-12-11).
        ({"pcie_width": 4}, "pcie_slot"),
        ({"pcie_generation": 1, "pcie_generation_max": 4}, "pcie_slot"),
        ({"power_limit_w": 150.0}, "power_limit"),
        ({"throttle_reasons": ("hw_thermal_slowdown",)}, "throttling"),
        ({"build_targets": ("gfx906", "gfx1030")}, "wrong_build"),
        ({"other_gpu_processes": 2}, "shared_gpu"),
    ],
)
def test_a_reading_proves_its_cause_and_the_others_are_excluded(seen: dict[str, object], cause: str) -> None:
    found = judge(run(20.0, **{**ALL_SEEN, **seen}), PREDICTED, CARD)
    assert [reason.cause for reason in found.reasons if reason.proved] == [cause]


def test_nothing_read_lists_everything_in_order_of_cost_and_claims_nothing() -> None:
    found = judge(run(5.0), PREDICTED, CARD)
    assert [reason.cause for reason in found.reasons] == [
        "cpu_fallback",
        "partial_offload",
        "memory_spill",
        "pcie_slot",
        "power_limit",
        "throttling",
        "wrong_build",
        "shared_gpu",
    ]
    assert not any(reason.proved for reason in found.reasons)


def test_everything_read_and_healthy_leaves_no_reason() -> None:
    assert judge(run(20.0, **ALL_SEEN), PREDICTED, CARD).reasons == ()


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1e6), st.booleans())
def test_proved_reasons_come_first(tps: float, narrow: bool) -> None:
    found = judge(run(tps, pcie_width=1 if narrow else 16, pcie_width_max=16), PREDICTED, CARD)
    proved = [reason.proved for reason in found.reasons]
    assert proved == sorted(proved, reverse=True)


def test_a_negative_speed_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be judged"):
        judge(run(-1.0), PREDICTED, CARD)
