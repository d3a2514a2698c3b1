"""The torch build that is chosen; a newer driver never takes anything away; unknown is never a yes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.judge import tables, versions
from envcheck.judge.wheels import WheelFacts, best_torch, judge_build, wheel_facts
from envcheck.schema.tables import TorchRelease
from tests.judge.machines import machine

RELEASES = tables.torch_wheels().release
BUILDS = [(release, variant) for release in RELEASES for variant in release.variants]
CAPABILITIES = [
    "3.5",
    "3.7",
    "5.0",
    "5.2",
    "6.0",
    "6.1",
    "7.0",
    "7.5",
    "8.0",
    "8.6",
    "8.7",
    "8.9",
    "9.0",
    "10.0",
    "12.0",
    "12.1",
]
DRIVERS = [
    *("418.39", "450.80.01", "450.80.02", "470.82.01", "525.60.12", "525.60.13", "535.104.05", "550.54.14"),
    *("570.26", "575.57.08", "579.99", "580", "580.65.06", "595.45.04", "610.43.02"),
]
PYTHONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"]
GLIBCS = ["2.17", "2.27", "2.28", "2.35", "2.39"]


def facts(python: str, capability: str, driver: str, glibc: str = "2.39") -> WheelFacts:
    return WheelFacts(
        python=python,
        platform="linux_x86_64",
        glibc=glibc,
        musl=False,
        accelerator="nvidia",
        driver=driver,
        windows_driver=False,
        capabilities=(capability,),
    )


CUDA_BUILDS = [(release, variant) for release, variant in BUILDS if variant.startswith("cu")]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(CUDA_BUILDS),
    st.sampled_from(CAPABILITIES),
    st.lists(st.sampled_from(DRIVERS), min_size=2, max_size=2).map(
        lambda pair: sorted(pair, key=lambda d: versions.key(d) or ())
    ),
    st.sampled_from(PYTHONS),
    st.sampled_from(GLIBCS),
)
def test_a_newer_driver_never_breaks_a_runtime(
    build: tuple[TorchRelease, str], capability: str, pair: list[str], python: str, glibc: str
) -> None:
    older, newer = (judge_build(*build, facts(python, capability, d, glibc)).runs for d in pair)
    assert not (older is True and newer is not True)


FIELDS = ("python", "platform", "glibc", "driver", "capabilities")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(CUDA_BUILDS),
    st.sampled_from(CAPABILITIES),
    st.sampled_from(DRIVERS),
    st.sampled_from(PYTHONS),
    st.sets(st.sampled_from(FIELDS), min_size=1),
)
def test_forgetting_facts_never_turns_a_no_into_a_yes(
    build: tuple[TorchRelease, str], capability: str, driver: str, python: str, forgotten: set[str]
) -> None:
    full = facts(python, capability, driver)
    values = {name: getattr(full, name) for name in full.__struct_fields__}
    for name in forgotten:
        values[name] = (None,) if name == "capabilities" else None
    values["musl"] = None if "glibc" in forgotten else False
    whole, part = judge_build(*build, full).runs, judge_build(*build, WheelFacts(**values)).runs
    assert part is not True
    assert not (whole is True and part is False)


@pytest.mark.parametrize(
    ("capability", "driver", "python", "best"),
    [
        ("7.0", "576.57", "3.10.12", "2.14.1+cu126"),  # TITAN V: the last line with sm_70
        ("6.1", "580.95.05", "3.12.1", "2.14.1+cu126"),  # GTX 1080 Ti: cu13x never carried it
        ("12.0", "575.57.08", "3.12.1", "2.13.0+cu129"),  # RTX 5080 before driver 580
        ("12.0", "580.95.05", "3.12.1", "2.15.0+cu130"),
        ("12.0", "595.71.05", "3.12.1", "2.15.0+cu132"),
        ("8.9", "535.104.05", "3.12.1", "2.14.1+cu126"),
        ("9.0", "525.60.13", "3.9.18", "2.8.0+cu126"),
        ("8.0", "470.82.01", "3.11.1", "2.7.1+cu118"),
        ("3.7", "470.82.01", "3.11.1", "2.3.1+cu118"),
        ("8.6", "418.39", "3.11.1", None),
    ],
)
def test_the_newest_build_that_fits_is_chosen(capability: str, driver: str, python: str, best: str | None) -> None:
    choice = best_torch(facts(python, capability, driver))
    assert (choice.build.version if choice.build else None) == best
    assert choice.certain


def test_one_build_that_serves_every_gpu_goes_before_a_newer_one() -> None:
    mixed = machine(capabilities=("7.0", "12.0"), driver="580.95.05")
    choice = best_torch(wheel_facts(mixed))
    assert choice.build is not None
    assert choice.build.version == "2.10.0+cu129"
    assert choice.build.serves_all


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"musl": True}, "musl"),
        ({"platform": "none"}, "built for"),
        ({"python": "3.7"}, "wheels for Python"),
        ({"driver": None, "driver_absent": True}, "no NVIDIA driver"),
        ({"glibc": "2.2"}, "glibc"),
    ],
)
def test_a_build_that_does_not_run_says_why(changes: dict[str, object], reason: str) -> None:
    full = facts("3.12", "8.6", "580.95.05")
    values = {name: getattr(full, name) for name in full.__struct_fields__} | changes
    choice = best_torch(WheelFacts(**values))
    assert choice.build is None
    assert reason in choice.rejected[0].because


@pytest.mark.parametrize(
    ("gfx", "version"), [("gfx1100", "2.14.1+rocm7.14"), ("gfx906", "2.13.0+rocm7.2"), ("gfx803", None)]
)
def test_amd_targets_take_the_newest_rocm_that_lists_them(gfx: str, version: str | None) -> None:
    choice = best_torch(wheel_facts(machine(gfx=(gfx,))))
    # Which targets the oldest ROCm variants carry is not in the table, so a build may be possible but never certain.
    assert (choice.build.version if choice.build and choice.certain else None) == version


def test_windows_and_wsl_use_the_windows_driver_numbers() -> None:
    for extra in ({"family": "windows"}, {"wsl": True}):
        below = wheel_facts(machine(capabilities=("8.6",), driver="528.32", **extra))
        above = wheel_facts(machine(capabilities=("8.6",), driver="528.33", **extra))
        release = next(r for r in RELEASES if r.line == "2.8")
        assert judge_build(release, "cu128", below).runs is False
        assert judge_build(release, "cu128", above).runs is True
