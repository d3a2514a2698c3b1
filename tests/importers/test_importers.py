"""Synthetic reports of every layout, and the facts they must give, each with the line it was read from."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.importers import import_paste
from envcheck.schema.facts import Known, value_of
from envcheck.schema.paste import MAX_LINE, Paste
from envcheck.schema.snapshot import Snapshot

COLLECT_ENV = """PyTorch version: 2.5.1+cu124
CUDA used to build PyTorch: 12.4
ROCM used to build PyTorch: N/A
OS: Ubuntu 22.04.4 LTS (x86_64)
GCC version: (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0
Libc version: glibc-2.35
Python version: 3.12.8 (main, Dec  4 2024, 08:54:12) [GCC 11.4.0] (64-bit runtime)
Python platform: Linux-6.8.0-52-generic-x86_64-with-glibc2.35
Is CUDA available: True
CUDA runtime version: 12.4.131
GPU models and configuration:
GPU 0: NVIDIA A40
GPU 1: NVIDIA A30

Nvidia driver version: 550.54.14
[pip3] numpy==1.26.4
[conda] triton                    3.1.0                    pypi_0    pypi
vLLM Version: 0.7.1
CUDA_VISIBLE_DEVICES=0,1"""
PADDED = "PyTorch version              : 2.9.0+cu128\nNvidia driver version        : 570.86.10"
ROCM = (
    "ROCM used to build PyTorch: 6.3.42134\nGPU models and configuration: AMD Instinct MI210 (gfx90a:sramecc+:xnack-)"
)
SGLANG = """Python: 3.10.12 (main, Jul 29 2024, 16:56:48) [GCC 11.4.0]
CUDA available: True
GPU 0,1: NVIDIA L40S
GPU 0,1 Compute Capability: 8.9
NVCC: Cuda compilation tools, release 12.4, V12.4.131
CUDA Driver Version: 550.90.07
PyTorch: 2.5.1+cu124
sglang: 0.4.2
vllm: Module Not Found
flashinfer: 0.1.6+cu124torch2.4"""
TRANSFORMERS = """- `transformers` version: 4.48.0
- Platform: Linux-5.15.0-1-generic-x86_64-with-glibc2.31
- Python version: 3.10.16
- PyTorch version (GPU?): 2.5.1+cu124 (True)
- GPU type: NVIDIA GeForce RTX 4090"""
SMI = """+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.14              Driver Version: 550.54.14      CUDA Version: 12.4     |
|=========================================+========================+======================|
|   0  NVIDIA GeForce RTX 3090        Off |   00000000:01:00.0 Off |                  N/A |
|  0%   30C    P8             20W /  350W |    1024MiB /  24576MiB |      0%      Default |"""
NEW_SMI = "| NVIDIA-SMI 610.43.02    KMD Version: 610.43.02    CUDA UMD Version: 13.3 |"
LONG_SMI = """Driver Version                            : 575.57.08
CUDA Version                              : 12.9
GPU 00000000:01:00.0
    Product Name                          : NVIDIA RTX A4000
    FB Memory Usage
        Total                             : 16376 MiB
        Free                              : 15000 MiB
    MIG Mode
        Current                           : Enabled"""
LISTED = "GPU 0: NVIDIA H200 (UUID: GPU-00000000-0000-0000-0000-000000000000)"
OLLAMA = (
    'time=2025-01-01T00:00:00.000Z level=INFO source=routes.go:1238 msg="Listening on 127.0.0.1:11434 (version 0.5.7)"'
    "\n"
    'time=2025-01-01T00:00:00.000Z level=INFO source=types.go:131 msg="inference compute" id=GPU-0 library=cuda '
    'variant=v12 compute=8.6 driver=12.4 name="NVIDIA GeForce RTX 3060" total="11.8 GiB" available="10.9 GiB"\n'
    'level=INFO source=routes.go:1187 msg="server config" env="map[CUDA_VISIBLE_DEVICES:1 '
    "OLLAMA_HOST:http://127.0.0.1:11434 OLLAMA_LLM_LIBRARY: ]"
)
LLAMA = """ggml_cuda_init: found 1 CUDA devices:
  Device 0: NVIDIA GeForce GTX 1080 Ti, compute capability 6.1, VMM: yes
build: 4641 (9f4cc8f8) with cc for x86_64-linux-gnu
llama_load_model_from_file: using device CUDA0 (NVIDIA GeForce GTX 1080 Ti) - 10800 MiB free"""
PIP = "Package            Version\n------------------ -----------\n" + "\n".join(
    f"{name:18} {number}"
    for name, number in [("torch", "2.3.0+cu121"), *[(f"package-{i}", f"1.{i}") for i in range(20)]]
)
CONDA = """# packages in environment at /opt/conda:
#
# Name  Version  Build  Channel
numpy  1.26.4  py311_0  conda-forge
torch  2.4.0  pypi_0  pypi"""
ROCMINFO = """Agent 2
  Name:                    gfx1100
  Uuid:                    GPU-0
  Marketing Name:          Radeon RX 7900 XTX"""
LSCPU = (
    "Architecture:  x86_64\nCPU(s):        8\nModel name:    Intel(R) Xeon(R) CPU\nHypervisor vendor:  KVM\nFlags:  "
    + " ".join(["fpu", "sse", "sse2", "avx", "avx2", *[f"flag{i}" for i in range(40)]])
)
ARCHS = "The current PyTorch install supports CUDA capabilities sm_50 sm_80 sm_90."


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        (COLLECT_ENV, "python.torch.version", "2.5.1+cu124"),
        (COLLECT_ENV, "python.torch.cuda", "12.4"),
        (COLLECT_ENV, "python.torch.cuda_available", True),
        (COLLECT_ENV, "python.version", "3.12.8"),
        (COLLECT_ENV, "os.family", "linux"),
        (COLLECT_ENV, "os.glibc", "2.35"),
        (COLLECT_ENV, "toolchain.nvcc", "12.4.131"),
        (COLLECT_ENV, "toolchain.gcc", "11.4.0"),
        (COLLECT_ENV, "nvidia.driver", "550.54.14"),
        (PADDED, "python.torch.version", "2.9.0+cu128"),
        (PADDED, "nvidia.driver", "570.86.10"),
        (SGLANG, "nvidia.driver", "550.90.07"),
        (SGLANG, "toolchain.nvcc", "12.4"),
        (SGLANG, "python.version", "3.10.12"),
        (TRANSFORMERS, "python.torch.version", "2.5.1+cu124"),
        (TRANSFORMERS, "python.torch.cuda_available", True),
        (TRANSFORMERS, "os.glibc", "2.31"),
        (SMI, "nvidia.driver", "550.54.14"),
        (SMI, "nvidia.cuda_driver", "12.4"),
        (NEW_SMI, "nvidia.driver", "610.43.02"),
        (NEW_SMI, "nvidia.cuda_driver", "13.3"),
        (LONG_SMI, "nvidia.driver", "575.57.08"),
        (OLLAMA, "nvidia.cuda_driver", "12.4"),
        (LSCPU, "cpu.hypervisor", "KVM"),
        (LSCPU, "cpu.cores", 8),
        (ARCHS, "python.torch.arch_list", ("sm_50", "sm_80", "sm_90")),
        ("windows 11\npython 3.11", "os.family", "windows"),
        ("Linux HOST 5.15.0-1-generic #1 SMP x86_64 GNU/Linux", "os.arch", "x86_64"),
        ("shm  64M  0  64M  0% /dev/shm", "memory.shm_total_mib", 64),
    ],
)
def test_fact(text: str, path: str, value: Any) -> None:
    snapshot = import_paste(Paste(text)).snapshot
    fact = reduce(getattr, path.split("."), snapshot)
    assert isinstance(fact, Known)
    assert fact.value == value
    assert fact.source.startswith("line ")


def gpus(text: str) -> list[tuple[int, str, str | None, str | None, int | None]]:
    found = value_of(import_paste(Paste(text)).snapshot.gpus) or ()
    return [
        (
            g.index,
            g.vendor,
            value_of(g.name),
            value_of(g.compute_capability) or value_of(g.gfx),
            value_of(g.memory_total_mib),
        )
        for g in found
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (COLLECT_ENV, [(0, "nvidia", "NVIDIA A40", None, None), (1, "nvidia", "NVIDIA A30", None, None)]),
        (ROCM, [(0, "amd", "AMD Instinct MI210", "gfx90a", None)]),
        (SGLANG, [(0, "nvidia", "NVIDIA L40S", "8.9", None), (1, "nvidia", "NVIDIA L40S", "8.9", None)]),
        (TRANSFORMERS, [(0, "nvidia", "NVIDIA GeForce RTX 4090", None, None)]),
        (SMI, [(0, "nvidia", "NVIDIA GeForce RTX 3090", None, 24576)]),
        (LONG_SMI, [(0, "nvidia", "NVIDIA RTX A4000", None, 16376)]),
        (LISTED, [(0, "nvidia", "NVIDIA H200", None, None)]),
        (OLLAMA, [(0, "nvidia", "NVIDIA GeForce RTX 3060", "8.6", 12083)]),
        (LLAMA, [(0, "nvidia", "NVIDIA GeForce GTX 1080 Ti", "6.1", None)]),
        ("- GPU: 2x RTX 3090\n- OS: Ubuntu 22.04", [(i, "nvidia", "RTX 3090", None, None) for i in (0, 1)]),
        ("GPU: Radeon RX 6700 XT", [(0, "amd", "Radeon RX 6700 XT", None, None)]),
        ("GPU memory: 24 GB", []),
        (ROCMINFO, [(0, "amd", "Radeon RX 7900 XTX", "gfx1100", None)]),
    ],
)
def test_gpus(text: str, expected: list[Any]) -> None:
    assert gpus(text) == expected


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        (COLLECT_ENV, "numpy", "1.26.4"),
        (COLLECT_ENV, "triton", "3.1.0"),
        (COLLECT_ENV, "vllm", "0.7.1"),
        (SGLANG, "flashinfer", "0.1.6+cu124torch2.4"),
        (SGLANG, "vllm", None),
        (TRANSFORMERS, "transformers", "4.48.0"),
        (PIP, "torch", "2.3.0+cu121"),
        (PIP, "package-7", "1.7"),
        (CONDA, "torch", "2.4.0"),
        ("torch==2.1.0\nnumpy==1.26.0", "numpy", "1.26.0"),
        ("| torch | 2.3.1 |", "torch", "2.3.1"),
        ("INFO api_server.py:912] vLLM API server version 0.7.3", "vllm", "0.7.3"),
    ],
)
def test_packages(text: str, name: str, version: str | None) -> None:
    assert value_of(import_paste(Paste(text)).snapshot.python.package(name)) == version


def test_variables_lose_secrets() -> None:
    snapshot = import_paste(Paste("VLLM_API_KEY=abc\nNCCL_DEBUG=INFO\nexport CUDA_VISIBLE_DEVICES=0")).snapshot
    assert value_of(snapshot.environment) == {"NCCL_DEBUG": "INFO", "CUDA_VISIBLE_DEVICES": "0"}


def test_ollama_settings_are_variables() -> None:
    snapshot = import_paste(Paste(OLLAMA)).snapshot
    assert value_of(snapshot.variable("CUDA_VISIBLE_DEVICES")) == "1"
    assert value_of(snapshot.variable("OLLAMA_LLM_LIBRARY")) is None


def test_mixture_keeps_what_was_said_otherwise() -> None:
    driver = import_paste(Paste(COLLECT_ENV + "\n" + SMI.replace("550.54.14", "535.54.03"))).snapshot.nvidia.driver
    assert isinstance(driver, Known)
    assert driver.value == "550.54.14"
    assert [other.value for other in driver.also] == ["535.54.03"]


def test_nothing_is_understood_in_prose() -> None:
    imported = import_paste(Paste("It does not work, please help me."))
    assert imported.understood == ()
    assert imported.snapshot == Snapshot(
        origin="imported",
        alias="pasted",
        python=imported.snapshot.python,
        environment=imported.snapshot.environment,
        backends=imported.snapshot.backends,
    )


FRAGMENTS = st.sampled_from(
    [COLLECT_ENV, SGLANG, TRANSFORMERS, SMI, NEW_SMI, LONG_SMI, OLLAMA, LLAMA, PIP, CONDA, ROCMINFO, LSCPU, ARCHS]
)
NOISE = st.text(alphabet=st.characters(codec="utf-8"), max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(FRAGMENTS, NOISE), max_size=5), st.data())
def test_any_mixture_and_any_cut_is_read(parts: list[str], data: st.DataObject) -> None:
    text = "\n".join(parts)
    cut = data.draw(st.integers(0, len(text)))
    paste = Paste(text[:cut])
    imported = import_paste(paste)
    for package in value_of(imported.snapshot.python.packages) or ():
        assert package.version
    assert all(len(line) <= MAX_LINE for line in paste.lines)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("\x1b[]0;31mK\x00\x07\x9b\u202e\ufeff\u200b<script>|`ab\r\n\t"), max_size=300))
def test_lines_hold_no_control_characters(text: str) -> None:
    for line in Paste(text).lines:
        assert all(character >= " " and character not in "\x7f\u202e\ufeff\u200b" for character in line)


def test_line_numbers_are_those_of_the_text() -> None:
    paste = Paste("a\x1b[31m\r\nb\x00\r\nGPU\r\n")
    assert [(line.number, line.text) for line in paste.having("gpu")] == [(3, "GPU")]


def test_large_pastes_find_what_small_ones_find() -> None:
    line = "level=INFO cudaSetDevice err: 35 sm_120 /dev/nvidia0"
    filler = "\n".join(f"time={i} nothing of note in line {i}" for i in range(8000))
    large, small = Paste(f"{filler}\n{line}\n{filler}"), Paste(line)
    for literal in ("35", "sm_12", "err: 3", "/dev/nvidia0", "level=info", "vice err", "absent", "36"):
        assert [found.text for found in large.having(literal)] == [
            found.text for found in small.having(literal)
        ] or literal in filler
        assert (literal in large) == (literal in small or literal in filler)
