"""Torch releases × variants × GPUs × drivers × Pythons are judged as the two tables say.

The expectation is worked out here from the TOML files with `tomllib` and a dozen lines of arithmetic; nothing of
`envcheck.judge` takes part in it. The whole table is swept, then evaluated end to end for a stratified part of it.
"""

from __future__ import annotations

import tomllib
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.judge.evaluate import evaluate
from envcheck.judge.tables import torch_wheels
from envcheck.judge.wheels import judge_build, wheel_facts
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Intent
from tests.judge.machines import known, machine

DATA = Path(__file__).parent.parent.parent / "requirements_matrix"
WHEELS = tomllib.loads((DATA / "torch_wheels.toml").read_text())
DRIVERS = tomllib.loads((DATA / "drivers.toml").read_text())
Numbers = tuple[int, ...]

CARDS = ("3.5", "3.7", "5.2", "6.1", "7.0", "7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "11.0", "12.0", "12.1")
LINUX = (
    *("418.39", "450.80.01", "450.80.02", "470.82.01", "510.47.03", "525.60.12", "525.60.13", "535.216.01"),
    *("550.54.14", "560.28.03", "570.26", "575.51.03", "579.99", "580.65.06", "590.44.01", "595.45.04", "610.43.02"),
)
WINDOWS = ("452.38", "452.39", "472.50", "528.32", "528.33", "537.13", "561.17", "572.61", "576.57", "580.88", "596.36")
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
SYSTEMS = {
    "linux_x86_64": ("linux", "x86_64"),
    "linux_aarch64": ("linux", "aarch64"),
    "windows_x86_64": ("windows", "x86_64"),
}
BUILDS = [
    (release, variant) for release in WHEELS["release"] for variant in release["variants"] if variant.startswith("cu")
]


# --- what the tables say, read the plain way --------------------------------------------------------------------------


def numbers(text: str) -> Numbers:
    return tuple(int(part) for part in text.split("+")[0].split("."))


def in_range(version: str, specifier: str) -> bool:
    signs = {">=": lambda a, b: a >= b, "<": lambda a, b: a < b}
    parts = [(">=", part[2:]) if part.startswith(">=") else ("<", part[1:]) for part in specifier.split(",")]
    return all(signs[sign](numbers(version), numbers(bound)) for sign, bound in parts)


def runs_driver(cuda: Numbers, driver: str, side: str) -> bool:
    floors = {row["cuda"]: row[side] for row in DRIVERS["floor"]}
    return numbers(driver) >= numbers(floors[str(cuda[0])])


def knows_ptx(cuda: Numbers, driver: str, side: str) -> bool:
    """Whether the driver came with this toolkit or a newer one, so that its compiler reads that toolkit's PTX."""
    released = [row for row in DRIVERS["toolkit"] if row.get(side) and not row.get("update")]
    return any(numbers(row["cuda"]) >= cuda and numbers(driver) >= numbers(row[side]) for row in released)


def has_code(row: dict[str, Any], card: str, ptx_known: bool) -> bool:
    major, minor = numbers(card)
    native = any(k[0] == major and k[1] <= minor for k in map(numbers, row["kernels"]))
    return native or bool(ptx_known and row.get("ptx") and numbers(row["ptx"]) <= (major, minor))


def table_says(
    release: dict[str, Any], variant: str, cards: tuple[str, ...], driver: str, python: str, platform: str
) -> bool | None:
    """Whether the build runs on one of the cards; None where the table does not say what it was compiled for."""
    cuda, side = (int(variant[2:-1]), int(variant[-1])), "windows" if platform.startswith("windows") else "linux"
    if python not in release["python"] or platform not in release["platforms"]:
        return False
    if variant in release.get("linux_x86_64_only", ()) and platform != "linux_x86_64":
        return False
    if not runs_driver(cuda, driver, side):
        return False
    rows = [
        row
        for row in WHEELS["arch_list"]
        if (row["variant"], row["platform"]) == (variant, platform) and in_range(release["version"], row["releases"])
    ]
    assert len(rows) < 2, "two lists for one build"
    if not rows:
        return None
    return any(has_code(rows[0], card, knows_ptx(cuda, driver, side)) for card in cards)


# --- what envcheck says -----------------------------------------------------------------------------------------------


def box(cards: tuple[str, ...], driver: str, python: str, platform: str, **more: Any) -> Snapshot:
    family, arch = SYSTEMS[platform]
    if family == "windows":
        more |= {"glibc": None, "libc": None}
    return machine(capabilities=cards, driver=driver, python=f"{python}.4", family=family, arch=arch, **more)


def judged(release: dict[str, Any], variant: str, snapshot: Snapshot) -> bool | None:
    row = next(r for r in torch_wheels().release if r.line == release["line"])
    return judge_build(row, variant, wheel_facts(snapshot)).runs


def test_the_sweep_covers_the_whole_table() -> None:
    assert len(BUILDS) >= 40
    assert {row["variant"] for row in WHEELS["arch_list"] if row["variant"].startswith("cu")} <= {v for _, v in BUILDS}


@pytest.mark.parametrize(("release", "variant"), BUILDS, ids=[f"{r['line']}-{v}" for r, v in BUILDS])
def test_every_release_and_variant_on_every_card_and_driver(release: dict[str, Any], variant: str) -> None:
    python = release["python"][-1].rstrip("t")
    for card, driver in product(CARDS, LINUX):
        snapshot = box((card,), driver, python, "linux_x86_64")
        told = table_says(release, variant, (card,), driver, python, "linux_x86_64")
        assert judged(release, variant, snapshot) is told, (card, driver)
        assert told is not None, "Linux on x86_64 is complete"


@pytest.mark.parametrize("platform", SYSTEMS)
def test_every_python_and_platform(platform: str) -> None:
    drivers = WINDOWS if platform.startswith("windows") else LINUX[::4]
    for (release, variant), python, card in product(BUILDS, PYTHONS, ("6.1", "9.0", "12.0")):
        for driver in (drivers[0], drivers[len(drivers) // 2], drivers[-1]):
            told = table_says(release, variant, (card,), driver, python, platform)
            found = judged(release, variant, box((card,), driver, python, platform))
            assert found is told, (release["line"], variant, python, card, driver)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(BUILDS),
    st.lists(st.sampled_from(CARDS), min_size=1, max_size=4).map(tuple),
    st.sampled_from(LINUX),
    st.sampled_from(PYTHONS),
)
def test_mixed_cards(build: tuple[dict[str, Any], str], cards: tuple[str, ...], driver: str, python: str) -> None:
    """One card with kernels is enough to run; that the others have none is said and not hidden."""
    release, variant = build
    snapshot = box(cards, driver, python, "linux_x86_64")
    assert judged(release, variant, snapshot) is table_says(release, variant, cards, driver, python, "linux_x86_64")
    row = next(r for r in torch_wheels().release if r.line == release["line"])
    each = [table_says(release, variant, (card,), driver, python, "linux_x86_64") for card in cards]
    if any(each):
        assert judge_build(row, variant, wheel_facts(snapshot)).serves_all is all(each)


@pytest.mark.parametrize("card", CARDS)
def test_more_driver_never_breaks_an_older_runtime(card: str) -> None:
    for (release, variant), python in product(BUILDS, ("3.9", "3.12")):
        found = [judged(release, variant, box((card,), driver, python, "linux_x86_64")) for driver in LINUX]
        assert all(newer or not older for older, newer in pairwise(found)), (release["line"], variant)


# --- what minor-version and forward compatibility change --------------------------------------------------------------


def test_driver_525_runs_machine_code_of_every_cuda_12_and_compiles_no_newer_ptx() -> None:
    by_line = {release["line"]: release for release in WHEELS["release"]}
    for line, variant in (("2.14", "cu126"), ("2.11", "cu128"), ("2.13", "cu129")):
        assert judged(by_line[line], variant, box(("8.0",), "525.60.13", "3.12", "linux_x86_64")) is True
        assert judged(by_line[line], variant, box(("8.0",), "525.60.12", "3.12", "linux_x86_64")) is False
    # 12.9 of torch 2.10 carries PTX of 12.0: a later card takes it from a driver that knows CUDA 12.9, and only then.
    cards = ("13.0",)
    assert judged(by_line["2.10"], "cu129", box(cards, "535.216.01", "3.12", "linux_x86_64")) is False
    assert judged(by_line["2.10"], "cu129", box(cards, "575.51.03", "3.12", "linux_x86_64")) is True


@pytest.mark.parametrize(("release", "variant"), BUILDS[::3], ids=lambda v: v if isinstance(v, str) else v["line"])
def test_a_compat_package_counts_as_the_driver_it_was_built_from(release: dict[str, Any], variant: str) -> None:
    """Forward compatibility: the user-mode driver in front decides, not the kernel's."""
    python = release["python"][-1].rstrip("t")
    for card, front in product(("8.0", "9.0", "10.0"), ("580.65.06", "595.45.04")):
        plain = box((card,), "535.216.01", python, "linux_x86_64")
        nvidia = msgspec.structs.replace(plain.nvidia, user_mode_driver=known(front), compat_library=known(front))
        found = judged(release, variant, msgspec.structs.replace(plain, nvidia=nvidia))
        assert found is table_says(release, variant, (card,), front, python, "linux_x86_64")


# --- end to end -------------------------------------------------------------------------------------------------------

STRATA = [
    (release, variant, card, driver)
    for index, (release, variant) in enumerate(BUILDS)
    for offset, card in enumerate(("6.1", "7.0", "8.0", "8.9", "9.0", "12.0"))
    for driver in (LINUX[(index + offset) % len(LINUX)], LINUX[(index + 2 * offset + 9) % len(LINUX)])
]


def test_an_installed_torch_is_ready_exactly_where_the_table_says_that_it_runs() -> None:
    """Known good and known broken pairs: the verdicts about driver and kernels, and the state they add up to."""
    seen = {True: 0, False: 0}
    for release, variant, card, driver in STRATA:
        python = release["python"][-1].rstrip("t")
        packages = {"torch": f"{release['version']}+{variant}", "transformers": "4.46.3"}
        snapshot = box((card,), driver, python, "linux_x86_64", packages=packages)
        judgement = evaluate(snapshot, Intent(), ["transformers"], today="2026-11-21")
        told = table_says(release, variant, (card,), driver, python, "linux_x86_64")
        broken = {v.id for v in judgement.verdicts if v.status == "not_met" and v.link in ("driver", "wheel")}
        stack = broken & {"transformers.driver.cuda", "transformers.wheel.kernels"}
        assert (not stack) is told, (packages["torch"], card, driver, judgement.backends["transformers"])
        assert told is not None
        seen[told] += 1
    assert min(seen.values()) > 100


@pytest.mark.parametrize("card", ["6.1", "7.0", "8.0", "8.9", "12.0"])
def test_more_driver_never_makes_a_backend_worse(card: str) -> None:
    order = ("blocked", "unknown", "limited", "ready_after_install", "ready")
    ranks: dict[str, list[int]] = {}
    for driver in LINUX:
        judgement = evaluate(box((card,), driver, "3.12", "linux_x86_64", packages={}), Intent(), today="2026-11-21")
        for name, state in judgement.backends.items():
            ranks.setdefault(name, []).append(order.index(state.status))
    assert all(ranks[name] == sorted(ranks[name]) for name in ranks), ranks
