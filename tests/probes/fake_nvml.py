"""Compiles the stand-in for NVML once a session and makes hosts that find it."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from envcheck.host import Host

SOURCE = Path(__file__).parent.parent / "fakes" / "fake_nvml.c"
RTX_4090 = "NVIDIA GeForce RTX 4090|24564|8|9|2684|-1"
H100 = "NVIDIA H100 80GB HBM3|81559|9|0|2330|0"
A100_MIG = "NVIDIA A100-SXM4-40GB|40960|8|0|20b0|1"
GB10 = "NVIDIA GB10|0|12|1|2e12|-1"


@cache
def library() -> Path:
    """Folder of the compiled library; skips the test where no C compiler is installed."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the stand-in for NVML cannot be built")
    folder = Path(tempfile.mkdtemp(prefix="envcheck-fake-nvml-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "libnvidia-ml.so.1"), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def host(*gpus: str, limit_s: float = 10.0, path: str = "", **settings: str) -> Host:
    """This machine with these GPUs: `settings` are the stand-in's variables without their prefix."""
    env = {"PATH": path, "HOME": "/proc/none", "LD_LIBRARY_PATH": str(library()), "FAKE_NVML_GPUS": ";".join(gpus)}
    env |= {f"FAKE_NVML_{key.upper()}": value for key, value in settings.items()}
    return Host(env=env, limit_s=limit_s)
