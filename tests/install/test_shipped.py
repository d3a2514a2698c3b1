"""The locks that come with envcheck are what their profiles ask for, on every system they say they fit."""

from __future__ import annotations

import re
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from packaging.markers import Marker

from envcheck.importers import assume
from envcheck.install import profiles, shipped
from envcheck.install.shipped import Fit, Line, Place, Shipped
from envcheck.judge.decide import decide
from envcheck.locking import _meets, from_shipped
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.plan import PlannedPackage
from envcheck.schema.snapshot import Snapshot

PATHS = shipped.paths()
LOCKS = [shipped.read(path) for path in PATHS]
MACHINES: dict[str, dict[str, Any]] = {
    "linux_x86_64": {"os": "linux", "arch": "x86_64", "glibc": "2.39"},
    "linux_aarch64": {"os": "linux", "arch": "aarch64", "glibc": "2.39"},
    "macos_arm64": {"os": "macos", "arch": "arm64", "distro": "macOS 15.1"},
    "windows_x86_64": {"os": "windows", "arch": "x86_64"},
}
GPUS: dict[str, dict[str, Any]] = {
    "any": {"gpus": []},
    "cpu": {"gpus": []},
    "cu132": {"driver": "610.43.02", "gpus": [{"name": "NVIDIA GeForce RTX 5090"}]},
}
SYSTEM = {"linux": "linux", "macos": "darwin", "windows": "win32"}
DAY = date(2026, 11, 21)


def machine(lock: Shipped, platform: str, python: str) -> Snapshot:
    stated = {**MACHINES[platform], **GPUS[lock.variant], "python": f"{python}.2"}
    return assume.to_snapshot(assume.read(msgspec.json.encode(stated).decode(), "case"))


def test_the_profiles_that_have_a_lock() -> None:
    there = {(lock.profile, lock.variant) for lock in LOCKS}
    assert {("web", "any"), ("vector", "any"), ("data", "any"), ("embedded", "any"), ("transformers", "cpu")} <= there
    assert [path.name for path in PATHS] == [f"requirements.{lock.profile}-{lock.variant}.txt" for lock in LOCKS]


@pytest.mark.parametrize("lock", LOCKS, ids=[path.stem for path in PATHS])
def test_a_lock_is_what_its_profile_asks_for_wherever_it_fits(lock: Shipped) -> None:
    assert lock.fits
    for fit in lock.fits:
        for python in fit.pythons:
            place = Place(platform=fit.platform, floor=fit.floor, python=python)
            choice = decide(machine(lock, fit.platform, python), profiles.load([lock.profile])).choice
            packages = shipped.packages_of([lock], place)
            assert packages is not None
            assert _meets(packages, (*choice.requirements, *choice.without_dependencies)), (fit, python, choice)
            assert (choice.torch_backend or "any") == lock.variant


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_a_lock_names_no_place_and_every_line_of_it_is_understood(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"@ |--index|--find-links|\bfile:", text)
    lock = shipped.read(path)
    assert len(lock.lines) == len(re.findall(r"^[\w.-]+==", text, flags=re.MULTILINE))
    assert all(line.hashes for line in lock.lines)
    assert sum(len(line.hashes) for line in lock.lines) == text.count("--hash=sha256:")
    assert shipped.as_text(lock) == text
    date.fromisoformat(lock.date)


@pytest.mark.parametrize("lock", LOCKS, ids=[path.stem for path in PATHS])
def test_what_installers_read_in_a_marker_is_what_envcheck_reads(lock: Shipped) -> None:
    for line, fit in product(lock.lines, lock.fits):
        for python in fit.pythons:
            os_name, arch = fit.platform.split("_", 1)
            known = {
                "python_version": python, "python_full_version": f"{python}.2", "sys_platform": SYSTEM[os_name],
                "platform_machine": "AMD64" if os_name == "windows" else arch,
                "os_name": "nt" if os_name == "windows" else "posix", "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
                "platform_system": os_name.replace("macos", "darwin").title(),
            }  # fmt: skip
            there = not line.only or f"{fit.platform}/{python}" in line.only
            assert there == (not line.marker or Marker(line.marker).evaluate(known)), (line.name, fit.platform, python)


def test_any_of_them_can_be_combined() -> None:
    for platform, python in product(MACHINES, ("3.11", "3.14")):
        place = Place(platform=platform, floor="99", python=python)
        fitting = [lock for lock in LOCKS if lock.variant != "cu132" and any(f.platform == platform for f in lock.fits)]
        assert shipped.packages_of(fitting, place), (platform, python)


@pytest.mark.parametrize(
    ("place", "day", "fits"),
    [
        (Place(platform="linux_x86_64", floor="2.36", python="3.12"), DAY, True),
        (Place(platform="linux_x86_64", floor="2.17", python="3.12"), DAY, False),
        (Place(platform="linux_x86_64", floor=None, python="3.12"), DAY, False),
        (Place(platform="linux_x86_64", floor="2.36", python="3.9"), DAY, False),
        (Place(platform=None, floor="2.36", python="3.12"), DAY, False),
        (Place(platform="macos_x86_64", floor="15.1", python="3.12"), DAY, False),
        (Place(platform="windows_x86_64", floor=None, python="3.12"), DAY, True),
        (Place(platform="linux_x86_64", floor="2.36", python="3.12"), date(2036, 1, 1), False),
    ],
)
def test_where_a_lock_fits(place: Place, day: date, fits: bool) -> None:
    assert bool(shipped.for_place([("data", None)], place, day)) == fits
    assert shipped.for_place([("data", None), ("vllm", "cu130")], place, day) is None


def test_locks_that_disagree_are_not_merged() -> None:
    fit = Fit(platform="linux_x86_64", floor="2.17", pythons=("3.12",))
    lines = [Line(name="x", version=version, hashes=("0" * 64,)) for version in ("1", "2")]
    one, other = (Shipped(profile="a", variant="any", date="2026-11-21", fits=(fit,), lines=(line,)) for line in lines)
    place = Place(platform="linux_x86_64", floor="2.36", python="3.12")
    assert shipped.packages_of([one, other], place) is None
    assert shipped.packages_of([one, one], place)


@pytest.mark.parametrize(
    ("pins", "used"),
    [([], True), (["pydantic>=2"], True), (["pydantic==1.10.0"], False), (["left-pad==1.0"], False)],
)
def test_a_pin_that_the_lock_does_not_meet_is_resolved(pins: list[str], used: bool) -> None:
    stated = {**MACHINES["linux_x86_64"], "gpus": [], "python": "3.12.2"}
    snapshot = assume.to_snapshot(assume.read(msgspec.json.encode(stated).decode(), "case"))
    chosen = profiles.load(["web"])
    receipt = from_shipped(snapshot, decide(snapshot, chosen, pins), chosen)
    assert (receipt is not None) == used
    if receipt:
        assert "shipped with envcheck" in receipt.packages[0].origin
        assert receipt.lock.count("\n") == len(receipt.packages)


def test_a_hash_of_the_profile_must_be_in_the_lock() -> None:
    package = PlannedPackage(name="weights", version="1", hash="sha256:" + "0" * 64)
    assert _meets([package], ["weights==1 --hash=sha256:" + "0" * 64])
    assert not _meets([package], ["weights==1 --hash=sha256:" + "1" * 64])


def test_a_lock_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EnvcheckError, match="cannot be read"):
        shipped.read(tmp_path / "none")
    (tmp_path / "x").write_text("fastapi==1\n")
    with pytest.raises(EnvcheckError, match="no complete header"):
        shipped.read(tmp_path / "x")
