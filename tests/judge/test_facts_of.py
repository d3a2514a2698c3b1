"""The vocabulary: every path can be read from an empty machine, and the joins give what the tables say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from envcheck.judge import rows
from envcheck.judge.evaluate import scene_of
from envcheck.judge.facts_of import FAMILIES, VOCABULARY, fact_of, kind_of
from envcheck.judge.operators import DriverStack, KernelSet, PerGpu
from envcheck.judge.scene import Scene
from envcheck.schema.facts import Absent, Known, Unknown
from envcheck.schema.snapshot import Snapshot, TorchBuild
from envcheck.schema.verdict import Intent
from tests.judge.machines import known, machine


def scene(backend: str = "transformers", snapshot: Snapshot | None = None, **facts: Any) -> Scene:
    return scene_of(rows.backend(backend), snapshot or machine(**facts), Intent())


def value(path: str, of: Scene) -> Any:
    fact = fact_of(path, of)
    assert isinstance(fact, Known), fact
    return fact.value


@pytest.mark.parametrize("path", [*VOCABULARY, *(f"{family}.anything" for family in FAMILIES)])
def test_every_path_is_readable_and_unknown_is_not_invented(path: str) -> None:
    empty = scene(snapshot=Snapshot())
    fact = fact_of(path, empty)
    assert isinstance(fact, Known | Absent | Unknown | PerGpu)
    from_tables = path.startswith(("release.", "rocm.", "kernels.", "pins.", "install."))
    assert from_tables or not isinstance(fact, Known)
    assert kind_of(path) is not None


def test_a_path_outside_the_vocabulary_is_refused() -> None:
    assert kind_of("gpu.colour") is None
    assert kind_of("packages.") is None
    with pytest.raises(KeyError):
        fact_of("gpu.colour", scene())


def test_the_driver_is_the_user_mode_one_where_both_are_known() -> None:
    snapshot = machine(capabilities=("8.6",), driver="580.95.05")
    nvidia = msgspec.structs.replace(snapshot.nvidia, user_mode_driver=known("570.26"))
    stack = value("nvidia.stack", scene(snapshot=msgspec.structs.replace(snapshot, nvidia=nvidia)))
    assert stack == DriverStack(driver="570.26", windows=False)


def test_a_reported_cuda_version_stands_in_for_the_driver() -> None:
    of = scene(capabilities=("7.0",), cuda_driver="12.9", wsl=True)
    assert value("nvidia.driver", of) == "576.02"
    assert value("nvidia.state", of) == "ready"


@pytest.mark.parametrize(
    ("os", "expected"),
    [
        ({"glibc": None, "distro": "Ubuntu 22.04"}, "2.35"),
        ({"glibc": "2.31", "distro": "Ubuntu 22.04"}, "2.31"),
        ({"glibc": None, "libc": "musl"}, Absent),
        ({"glibc": None, "libc": None}, Unknown),
    ],
)
def test_the_c_library(os: dict[str, Any], expected: Any) -> None:
    fact = fact_of("os.glibc", scene(**os))
    assert (fact.value if isinstance(fact, Known) else type(fact)) == expected


@pytest.mark.parametrize(
    ("distro", "expected"),
    [("macOS 13.6.1 (arm64)", "13.6.1"), ("macos 26", "26"), ("Mac OS X 10.15.7", "10.15.7"), ("darwin", Unknown)],
)
def test_the_release_of_macos(distro: str, expected: Any) -> None:
    fact = fact_of("os.macos", scene(distro=distro))
    assert (fact.value if isinstance(fact, Known) else type(fact)) == expected


@pytest.mark.parametrize(
    ("torch", "variant", "cuda"),
    [
        ("2.7.0+cu128", "cu128", "12.8"),
        ("2.11.0", "cu130", "13.0"),
        ("2.13.0+cpu", "cpu", None),
        ("2.4.0+rocm6.1", "rocm6.1", None),
    ],
)
def test_what_the_version_of_torch_says(torch: str, variant: str, cuda: str | None) -> None:
    of = scene(packages={"torch": torch})
    assert value("torch.variant", of) == variant
    fact = fact_of("torch.cuda", of)
    assert (fact.value if isinstance(fact, Known) else None) == cuda


def test_what_torch_printed_goes_before_the_table() -> None:
    snapshot = machine(packages={"torch": "2.9.0a0+git12"})
    build = TorchBuild(
        version=known("2.9.0a0+git12"), cuda=known("12.9"), arch_list=known(("sm_90", "sm_120", "compute_120"))
    )
    python = msgspec.structs.replace(snapshot.python, torch=build)
    of = scene(snapshot=msgspec.structs.replace(snapshot, python=python))
    assert value("torch.arches", of) == KernelSet(kernels=("9.0", "12.0"), ptx="12.0")
    assert value("torch.cuda", of) == "12.9"


def test_a_torch_that_no_table_lists_has_unknown_kernels() -> None:
    assert isinstance(fact_of("torch.arches", scene(packages={"torch": "1.13.1+cu117"})), Unknown)


def test_an_installed_torch_within_the_pin_is_the_one_the_release_runs_on() -> None:
    # vLLM 0.9.2 pins torch 2.7.0 and is built for cu128; this machine already has the cu126 build of that torch.
    matrix = rows.backend("vllm")
    release = next(r for r in matrix.release if r.version == "0.9.2")
    absent = Absent(source="test")
    plain = Scene(machine(packages={}), Intent(), matrix.backend, absent, release)
    ready = Scene(machine(packages={"torch": "2.7.0+cu126"}), Intent(), matrix.backend, absent, release)
    assert "12.0" in value("release.arches", plain).kernels
    assert "12.0" not in value("release.arches", ready).kernels


def test_the_installed_version_chooses_the_release_at_or_below_it() -> None:
    of = scene("vllm", packages={"vllm": "0.10.2.post1"})
    assert of.version == "0.10.2.post1"
    assert of.release is not None
    assert of.release.version == "0.10.2"
    assert scene("vllm", packages={}).version == rows.backend("vllm").release[0].version


def test_torchvision_belongs_to_its_torch() -> None:
    assert value("torch.torchvision", scene(packages={"torch": "2.8.0+cu128"})) == "==0.23.*"
    assert isinstance(fact_of("torch.torchvision", scene(packages={})), Absent)
