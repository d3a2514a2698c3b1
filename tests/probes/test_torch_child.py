"""Levels 2 and 3: torch asked in another interpreter, with a stand-in for torch on its path."""

from __future__ import annotations

import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from envcheck.host import Host
from envcheck.probes import python
from envcheck.schema.facts import Absent, Unknown, value_of
from envcheck.schema.snapshot import Python

GOOD = """
__version__ = "2.11.0+cu130"
float32 = "float32"
class version: cuda, hip = "13.0", None
def compiled_with_cxx11_abi(): return True
class cuda:
    is_available = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 2)
    get_arch_list = staticmethod(lambda: ["sm_75", "sm_90", "compute_120"])
class Matrix:
    def reshape(self, *a): return self
    def __mod__(self, n): return self
    def __matmul__(self, other): return self
    def cpu(self): return self
    def to(self, device):
        if device[1] == 1:
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
        return self
def arange(n, dtype): return Matrix()
def device(kind, index): return (kind, index)
def equal(a, b): return True
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("target")
    venv.create(folder, symlinks=True)
    return folder


def read(environment: Path, torch: str, level: int = 2) -> tuple[Python, Any]:
    site = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "torch.py").write_text(torch)
    evidence = python.collect(Host(env={"PATH": ""}, target_python=str(environment / "bin" / "python"), level=level))
    return python.parse(evidence), evidence


def test_a_good_build_and_a_gpu_without_kernels(environment: Path) -> None:
    torch = read(environment, GOOD, level=3)[0].torch
    assert value_of(torch.version) == "2.11.0+cu130"
    assert value_of(torch.cuda) == "13.0"
    assert isinstance(torch.hip, Absent)
    assert value_of(torch.arch_list) == ("sm_75", "sm_90", "compute_120")
    assert value_of(torch.device_count) == 2
    kernels = value_of(torch.kernels)
    assert kernels is not None
    assert kernels["0"] == "ok"
    assert kernels["1"].startswith("RuntimeError: CUDA error: no kernel image")


def test_kernels_wait_for_level_3(environment: Path) -> None:
    assert isinstance(read(environment, GOOD)[0].torch.kernels, Unknown)


def test_a_failing_import_is_a_reading_without_the_home_folder(environment: Path) -> None:
    broken = "raise OSError('/home/jdoe/x/libtorch.so: libcudart.so.13: cannot open shared object file')"
    reading, evidence = read(environment, broken)
    assert (
        value_of(reading.torch.import_error)
        == "OSError: ~/x/libtorch.so: libcudart.so.13: cannot open shared object file"
    )
    assert "jdoe" not in str(evidence)


def test_a_crashing_import_is_a_reading(environment: Path) -> None:
    torch = read(environment, "import os; os.abort()")[0].torch
    assert isinstance(torch.arch_list, Unknown)
    assert "signal 6" in torch.arch_list.why


def test_no_torch_at_all(environment: Path) -> None:
    read(environment, "")
    for path in environment.glob("lib/python*/site-packages/torch.py"):
        path.unlink()
    evidence = python.collect(Host(env={"PATH": ""}, target_python=str(environment / "bin" / "python"), level=2))
    assert isinstance(python.parse(evidence).torch.import_error, Absent)


def test_level_1_starts_nothing_in_a_virtual_environment(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(Host, "run", refuse)
    evidence = python.collect(Host(env={"PATH": ""}, target_python=str(environment / "bin" / "python"), level=1))
    assert evidence["version"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
