"""Environments broken on the spot, from files to the cause that the judge names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from envcheck import api
from envcheck.host import Host
from envcheck.look import collect, parse
from envcheck.schema.facts import value_of
from envcheck.schema.snapshot import Snapshot
from tests.probes.test_record import install


def snapshot_of(prefix: Path, level: int = 1) -> Snapshot:
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.3\n")
    python = prefix / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    return parse(collect(Host(env={"PATH": ""}, target_python=str(python), level=level, ports=False))[0])


def causes(snapshot: Snapshot) -> dict[str, str]:
    return {v.cause: v.says for v in api.judge(snapshot).verdicts if v.cause and v.status in ("not_met", "warning")}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "lib" / "python3.12" / "site-packages"
    torch = b"__version__ = '2.13.0+cpu'\ncuda = None\nhip = None\n"
    modules = (
        "torch/nn/__init__.py",
        "torch/nn/functional.py",
        "torch/nn/modules/__init__.py",
        "torch/tests/test_x.py",
    )
    files = dict.fromkeys((*modules, "torch/nn/modules/far/deep.py", "torch/include/x.h"), b"pass\n")
    files |= {"torch/__init__.py": b"import os\n", "torch/lib/libtorch_cpu.so": b"\x7fELF" + bytes(600)}
    install(folder, "torch", "2.13.0+cpu", {"torch/version.py": torch, **files})
    install(folder, "typing_extensions", "4.15.0", {"typing_extensions.py": b""})
    return folder


def test_a_cuda_build_of_torchvision_beside_a_cpu_build_of_torch(site: Path, tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: no extension can be built")
    (tmp_path / "x.c").write_text("int x(void) { return 0; }\n")
    runtime, module = tmp_path / "libcudart.so.13", tmp_path / "_C.so"
    build = [compiler, "-shared", "-fPIC", str(tmp_path / "x.c"), "-o"]
    subprocess.run([*build, str(runtime), f"-Wl,-soname,{runtime.name}"], check=True)
    subprocess.run([*build, str(module), "-Wl,--no-as-needed", str(runtime)], check=True)
    install(site, "torchvision", "0.28.0", {"torchvision/_C.so": module.read_bytes()})
    says = causes(snapshot_of(tmp_path))["accelerator_wheel_mismatch"]
    assert says == "torchvision 0.28.0 is linked against CUDA 13, torch is a CPU build."


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize(
    "gone",
    ["torch/__init__.py", "torch/nn/functional.py", "torch/nn", "torch/nn/modules", "torch/lib/libtorch_cpu.so"],
)
def test_a_half_deleted_torch_blocks_what_needs_it(site: Path, tmp_path: Path, level: int, gone: str) -> None:
    place = site / gone
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    judged = {v.id: v for v in api.judge(snapshot_of(tmp_path, level)).verdicts}
    for backend in ("vllm", "transformers"):
        verdict = judged[f"{backend}.wheel.files"]
        assert (verdict.status, verdict.severity) == ("not_met", "blocker")
        assert f"gone from the disk, such as {gone}" in verdict.says
        assert verdict.remedy is not None
        assert verdict.remedy.commands == (
            "pip install --force-reinstall --no-deps torch==2.13.0+cpu "
            "--extra-index-url https://download.pytorch.org/whl/cpu",
        )
    assert "torch" in judged["machine.python.lost_files"].says


@pytest.mark.parametrize("level", [1, 2])
def test_a_library_that_was_cut_short(site: Path, tmp_path: Path, level: int) -> None:
    (site / "torch/lib/libtorch_cpu.so").write_bytes(b"\x7fELF")
    judged = {v.id: v for v in api.judge(snapshot_of(tmp_path, level)).verdicts}
    assert "torch (1 cut short, such as torch/lib/libtorch_cpu.so)" in judged["vllm.wheel.files"].says


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("gone", ["torch/tests/test_x.py", "torch/include/x.h", "typing_extensions.py"])
def test_what_no_backend_imports_blocks_none(site: Path, tmp_path: Path, level: int, gone: str) -> None:
    (site / gone).unlink()
    judged = api.judge(snapshot_of(tmp_path, level)).verdicts
    assert not [v.id for v in judged if v.id.endswith(".wheel.files")]


@pytest.mark.parametrize("level", [1, 2])
def test_two_versions_of_a_package_are_both_named(site: Path, tmp_path: Path, level: int) -> None:
    install(site, "numpy", "2.4.6", {"numpy/__init__.py": b""})
    install(site, "numpy", "1.26.4", {"numpy/__init__.py": b""})
    (verdict,) = [v for v in api.judge(snapshot_of(tmp_path, level)).verdicts if v.id == "machine.python.duplicates"]
    assert "numpy (1.26.4, 2.4.6)" in verdict.says
    assert verdict.remedy is not None
    assert verdict.remedy.commands[0] == "pip uninstall -y numpy"
    assert verdict.remedy.commands[-1] == "pip install --no-deps numpy==2.4.6"


def test_deleted_files_and_two_versions_are_in_the_snapshot(site: Path, tmp_path: Path) -> None:
    (site / "torch/__init__.py").unlink()
    install(site, "Torch", "2.9.1", {})
    damage = value_of(snapshot_of(tmp_path, level=2).python.damage)
    assert damage is not None
    assert {(each.package, each.kind) for each in damage} == {("torch", "missing"), ("torch", "duplicate")}


def test_a_release_made_for_numpy_1_is_known_without_looking_into_it(site: Path, tmp_path: Path) -> None:
    install(site, "numpy", "2.4.6", {"numpy/__init__.py": b""})
    install(site, "pandas", "2.0.3", {"pandas/__init__.py": b""})
    assert "pandas 2.0.3 is made for NumPy 1" in causes(snapshot_of(tmp_path))["numpy_abi_mismatch"]


def test_an_extension_for_numpy_1_under_numpy_2(site: Path, tmp_path: Path) -> None:
    install(site, "numpy", "2.4.6", {"numpy/__init__.py": b""})
    module = b"\x7fELF numpy.core._multiarray_umath \x00"
    install(site, "oldext", "1.0", {"oldext/_c.cpython-312-x86_64-linux-gnu.so": module})
    assert "oldext" in causes(snapshot_of(tmp_path, level=2))["numpy_abi_mismatch"]
