"""The decided torch build against an independent, brute-force reading of the two tables that say what can run.

Nothing of `envcheck.judge` is used to work out what is allowed: the TOML files are read here, and a build is allowed
when its Python, platform, glibc, driver floor and kernels all fit.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.importers import assume
from envcheck.install.profiles import load
from envcheck.judge.decide import Decided, decide
from envcheck.judge.evaluate import evaluate
from envcheck.schema.verdict import Intent, Judgement

DATA = Path(__file__).parent.parent.parent / "requirements_matrix"
WHEELS = tomllib.loads((DATA / "torch_wheels.toml").read_text())
DRIVERS = tomllib.loads((DATA / "drivers.toml").read_text())
Numbers = tuple[int, ...]

CARDS = {
    "NVIDIA GeForce GTX 1080 Ti": (6, 1),
    "NVIDIA TITAN V": (7, 0),
    "Tesla V100-SXM2-32GB": (7, 0),
    "Tesla T4": (7, 5),
    "NVIDIA A100-SXM4-80GB": (8, 0),
    "NVIDIA GeForce RTX 3090": (8, 6),
    "NVIDIA GeForce RTX 4090": (8, 9),
    "NVIDIA H100 80GB HBM3": (9, 0),
    "NVIDIA B200": (10, 0),
    "NVIDIA GeForce RTX 5090": (12, 0),
}
DRIVER = [
    "450.80.02",
    "470.82.01",
    "525.60.13",
    "535.104.05",
    "550.54.15",
    "570.26",
    "580.65.06",
    "595.45.04",
    "610.43",
]
WINDOWS_DRIVER = ["452.39", "472.50", "528.33", "537.58", "552.22", "572.61", "580.88", "595.97"]
SYSTEMS = [("linux", "x86_64"), ("linux", "aarch64"), ("windows", "x86_64")]
PLATFORM = {
    ("linux", "x86_64"): "linux_x86_64",
    ("linux", "aarch64"): "linux_aarch64",
    ("windows", "x86_64"): "windows_x86_64",
}


def numbers(version: str) -> Numbers:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def at_least(have: str, floor: str) -> bool:
    return numbers(have) >= numbers(floor)


def python_fits(release: dict[str, Any], python: str) -> bool:
    return ".".join(python.split(".")[:2]) in release["python"]


def cuda_of(variant: str) -> Numbers:
    return (int(variant[2:-1]), int(variant[-1]))


def driver_starts(variant: str, driver: str, side: str) -> bool:
    """The floor of the runtime's major version (minor-version compatibility)."""
    major = str(cuda_of(variant)[0])
    floors = [row[side] for row in DRIVERS["floor"] if row["cuda"] == major]
    return bool(floors) and at_least(driver, floors[0])


def driver_knows(variant: str, driver: str, side: str) -> bool:
    """Whether the driver compiles PTX of the runtime: it came with this toolkit or a newer one."""
    newest = [
        numbers(row["cuda"]) for row in DRIVERS["toolkit"] if side in row and "update" not in row
        and at_least(driver, row[side])
    ]  # fmt: skip
    return bool(newest) and max(newest) >= cuda_of(variant)


def in_range(version: str, text: str) -> bool:
    compare: dict[str, Callable[[Numbers, Numbers], bool]] = {">=": lambda a, b: a >= b, "<": lambda a, b: a < b}
    clauses = [(part[:2], part[2:]) if part[:2] == ">=" else (part[:1], part[1:]) for part in text.split(",")]
    return all(compare[op](numbers(version), numbers(bound)) for op, bound in clauses)


def kernels(release: dict[str, Any], variant: str, platform: str, card: Numbers, ptx_known: bool) -> bool | None:
    """None where the table does not say for which GPUs the build was compiled."""
    for row in WHEELS["arch_list"]:
        if row["variant"] == variant and row["platform"] == platform and in_range(release["version"], row["releases"]):
            compiled = [numbers(kernel) for kernel in row["kernels"]]
            native = any(major == card[0] and minor <= card[1] for major, minor in compiled)
            return native or (ptx_known and bool(row.get("ptx")) and numbers(row["ptx"]) <= card)
    return None


def possible(release: dict[str, Any], variant: str, machine: dict[str, Any]) -> bool:
    """Whether the tables allow a build on a machine: nothing in them speaks against it."""
    system = (machine["os"], machine["arch"])
    platform = PLATFORM[system]
    if not python_fits(release, machine["python"]) or platform not in release["platforms"]:
        return False
    if machine["os"] == "linux" and not at_least(machine["glibc"], release["glibc"]):
        return False
    if not machine["gpus"]:
        return variant == "cpu"
    if not variant.startswith("cu") or (platform != "linux_x86_64" and variant in release.get("linux_x86_64_only", ())):
        return False
    side = "windows" if machine["os"] == "windows" else "linux"
    if not driver_starts(variant, machine["driver"], side):
        return False
    known = driver_knows(variant, machine["driver"], side)
    return kernels(release, variant, platform, CARDS[machine["gpus"][0]["name"]], known) is not False


def allowed(machine: dict[str, Any]) -> dict[str, set[str]]:
    """Release line to the variants that the tables allow, newest line first; lines without any are left out."""
    found = {r["line"]: {v for v in r["variants"] if possible(r, v, machine)} for r in WHEELS["release"]}
    return {line: variants for line, variants in found.items() if variants}


def decided(machine: dict[str, Any], profile: str) -> Decided:
    snapshot = assume.to_snapshot(assume.read(msgspec.json.encode(machine).decode(), "case"))
    return decide(snapshot, load([profile]))


@st.composite
def machines(draw: st.DrawFn) -> dict[str, Any]:
    system = draw(st.sampled_from(SYSTEMS))
    card = draw(st.sampled_from([None, *CARDS]))
    machine: dict[str, Any] = {
        "os": system[0],
        "arch": system[1],
        "python": draw(st.sampled_from([f"3.{minor}.1" for minor in range(9, 16)])),
        "gpus": [{"name": card}] if card else [],
    }
    if system[0] == "linux":
        machine["glibc"] = draw(st.sampled_from(["2.17", "2.27", "2.28", "2.31", "2.35", "2.39"]))
    if card:
        machine["driver"] = draw(st.sampled_from(WINDOWS_DRIVER if system[0] == "windows" else DRIVER))
    return machine


@settings(max_examples=300, deadline=None)
@given(machine=machines(), profile=st.sampled_from(["embeddings", "transformers", "vllm", "sglang"]))
def test_what_is_decided_is_allowed(machine: dict[str, Any], profile: str) -> None:
    found = decided(machine, profile)
    choices = allowed(machine)
    if found.blocked:
        assert found.decision.torch is None
        assert all(block.says and block.remedy for block in found.blocked)
    else:
        assert found.decision.torch is not None
        line = ".".join(found.decision.torch.split(".")[:2])
        assert found.decision.accelerator in choices.get(line, ()), (found.decision, choices)


@settings(max_examples=300, deadline=None)
@given(machine=machines())
def test_nothing_newer_is_allowed_and_nothing_is_refused_that_is(machine: dict[str, Any]) -> None:
    found = decided(machine, "embeddings")
    choices = allowed(machine)
    assert bool(found.blocked) == (not choices)
    if found.decision.torch:
        assert ".".join(found.decision.torch.split(".")[:2]) == next(iter(choices))


@settings(max_examples=60, deadline=None)
@given(machine=machines().filter(lambda machine: bool(machine["gpus"])))
def test_more_driver_never_takes_a_release_away(machine: dict[str, Any]) -> None:
    drivers = WINDOWS_DRIVER if machine["os"] == "windows" else DRIVER
    torches = [decided({**machine, "driver": driver}, "embeddings").decision.torch for driver in drivers]
    releases = [numbers(torch or "0")[:2] for torch in torches]
    assert all(older <= newer for older, newer in pairwise(releases))


def ways_out(judgement: Judgement, backend: str) -> str | None:
    """The release that `check` calls the newest that runs here."""
    return next((v.actual for v in judgement.verdicts if v.id == f"{backend}.backend.release"), None)


def disagreement(machine: dict[str, Any], backend: str) -> str | None:
    """Where `check` names a release and `install` plans another one, or plans one where everything is blocked."""
    snapshot = assume.to_snapshot(assume.read(msgspec.json.encode(machine).decode(), "case"))
    judgement, found = evaluate(snapshot, Intent(), [backend]), decide(snapshot, load([backend]))
    state, named = judgement.backends[backend], ways_out(judgement, backend)
    asked = next((line for line in found.choice.requirements if line.startswith(f"{backend}==")), None)
    if found.blocked:
        said = f"{named} is called the way out" if named else f"{backend} is {state.status}"
        return said if named or state.status.startswith("ready") else None
    if state.status == "blocked":
        return f"{asked} is planned although {state.why}"
    return f"{named} is called the way out, {asked} is planned" if named and asked != f"{backend}=={named}" else None


@settings(max_examples=300, deadline=None)
@given(machine=machines(), backend=st.sampled_from(["vllm", "sglang", "transformers"]))
def test_what_is_called_the_way_out_is_what_is_planned(machine: dict[str, Any], backend: str) -> None:
    assert disagreement(machine, backend) is None


@settings(max_examples=200, deadline=None)
@given(machine=machines().filter(lambda machine: bool(machine["gpus"])))
def test_a_wheel_with_a_label_comes_with_the_torch_of_its_runtime(machine: dict[str, Any]) -> None:
    found = decided(machine, "vllm")
    for each in (found, found.instead):
        if each is not None and each.choice.indexes:
            (own,) = each.choice.indexes
            asked = next(line for line in each.choice.requirements if line.startswith("vllm=="))
            assert own.url.endswith(f"/{asked.removeprefix('vllm==').replace('+', '/')}")
            assert asked.endswith(f"+{each.decision.accelerator}")
            assert own.source.startswith("https://")
            assert own.checked
    assert found.instead is None or not found.instead.choice.indexes


def test_a_driver_only_rule_would_fail_this_reading() -> None:
    """The reading can fail: what uv's driver rule takes for a TITAN V on driver 580 is not among what is allowed."""
    machine = {"os": "linux", "arch": "x86_64", "glibc": "2.35", "python": "3.12.1", "driver": "580.95.05"}
    assert "cu132" not in allowed({**machine, "gpus": [{"name": "NVIDIA TITAN V"}]}).get("2.15", ())
    assert "2.15" not in allowed({**machine, "gpus": [{"name": "NVIDIA TITAN V"}]})
