"""The faked machines of `peers_broken_stacks.py`: each with one fault that is known to break it, and sound ones.

`words` is what an answer must contain to name the fault. The patterns were written before any tool was run, but for
the two on CUDA_VISIBLE_DEVICES, tightened afterwards: quoting the variable is not naming it as the cause. Versions and
pins are those of `requirements_matrix/`. Five stacks were missed by envcheck when first run, and led to changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.peers_fake_machine import Machine, Torch, install

CU121 = ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90")
CU126 = ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90")
CU128 = ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
CU130 = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
RTX_3090 = ("NVIDIA GeForce RTX 3090", 24576, "8.6")
RTX_5090 = ("NVIDIA GeForce RTX 5090", 32607, "12.0")
GTX_1080_TI = ("NVIDIA GeForce GTX 1080 Ti", 11264, "6.1")
TITAN_V = ("NVIDIA TITAN V", 12288, "7.0")
T4 = ("Tesla T4", 15360, "7.5")
A100 = ("NVIDIA A100-SXM4-40GB", 40960, "8.0")
H100 = ("NVIDIA H100 80GB HBM3", 81559, "9.0")
NEW = "580.95.05"
TORCH_CU130 = Torch(cuda="13.0", arches=CU130)
VLLM_NEW = {"vllm": "0.33.0", "torch": "2.14.0+cu130", "transformers": "5.18.0", "fastapi": "0.134.0"}
VLLM_PINS = {"vllm": ("torch==2.14.0", "transformers>=5.16.1,<5.21")}
TORCH_213 = {"torch": "2.13.0+cu130", "transformers": "5.16.1", "accelerate": "1.14.0"}


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """One machine. `damage` breaks the environment's files; `level` is how deep envcheck looks; `words` "" is sound."""

    says: str
    machine: Machine
    words: str
    backend: str = "transformers"
    damage: Callable[[Path], object] | None = None
    level: int = 1


def _delete_torch_files(site: Path) -> None:
    """As an interrupted upgrade leaves it: RECORD lists files that are gone."""
    install(site, "safetensors", "0.8.0", {f"safetensors/part_{i}.py": "x = 1\n" for i in range(20)})
    for file in (site / "safetensors").iterdir():
        file.unlink()


STACKS = (
    Stack(
        says="Driver 535, vLLM 0.33 (CUDA 13 wheels), RTX 3090",
        backend="vllm",
        machine=Machine(
            driver="535.183.01", cuda="12.2", gpus=(RTX_3090,), packages=VLLM_NEW, requires=VLLM_PINS,
            torch=Torch(cuda="13.0", arches=CU130, available=False),
        ),
        words=r"driver.{0,80}(≥|>=|below|up to|minimum|needs)",
    ),
    Stack(
        says="RTX 5090, torch 2.5.1+cu121",
        machine=Machine(
            driver="575.57.08", cuda="12.9", gpus=(RTX_5090,), torch=Torch(cuda="12.1", arches=CU121),
            packages={"torch": "2.5.1+cu121", "transformers": "4.57.1", "accelerate": "1.10.0"},
        ),
        words=r"sm_120|12\.0.{0,60}(kernel|compiled|arch)|kernels.{0,80}12\.0",
    ),
    Stack(
        says="GTX 1080 Ti, torch 2.15.0 (cu132)",
        machine=Machine(
            driver="580.95.05", cuda="13.0", gpus=(GTX_1080_TI,), torch=Torch(cuda="13.2", arches=CU130),
            packages={"torch": "2.15.0+cu132", "transformers": "5.18.0", "accelerate": "1.14.0"},
        ),
        words=r"sm_61|6\.1.{0,60}(kernel|compiled|arch)|kernels.{0,80}6\.1",
    ),
    Stack(
        says="TITAN V, torch 2.15.0 (cu132)",
        machine=Machine(
            driver="580.95.05", cuda="13.0", gpus=(TITAN_V,), torch=Torch(cuda="13.2", arches=CU130),
            packages={"torch": "2.15.0+cu132", "transformers": "5.18.0", "accelerate": "1.14.0"},
        ),
        words=r"sm_70|7\.0.{0,60}(kernel|compiled|arch)|kernels.{0,80}7\.0",
    ),
    Stack(
        says="CPU-only torch beside an RTX 3090",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(RTX_3090,), torch=Torch(cuda=None, available=False),
            packages={"torch": "2.13.0+cpu", "transformers": "5.16.1", "accelerate": "1.14.0"},
        ),
        words=r"cpu[- ](only|build)|without CUDA|not.{0,20}CUDA build",
    ),
    Stack(
        says="A100, driver 470, torch 2.8.0+cu128",
        machine=Machine(
            driver="470.256.02", cuda="11.4", gpus=(A100,), torch=Torch(cuda="12.8", arches=CU128, available=False),
            packages={"torch": "2.8.0+cu128", "transformers": "4.57.1", "accelerate": "1.10.0"},
        ),
        words=r"driver.{0,80}(≥|>=|below|up to|minimum|needs)",
    ),
    Stack(
        says="torchvision 0.22 beside torch 2.13",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(RTX_3090,), torch=TORCH_CU130,
            packages={**TORCH_213, "torchvision": "0.22.1+cu130"},
        ),
        words="torchvision",
    ),
    Stack(
        says="NumPy 2 with torch 2.2 (made for NumPy 1)",
        machine=Machine(
            driver="550.54.15", cuda="12.4", gpus=(RTX_3090,), torch=Torch(cuda="12.1", arches=CU121), python="3.11.7",
            packages={"torch": "2.2.2+cu121", "numpy": "2.3.1", "transformers": "4.45.0"},
        ),
        words="numpy",
    ),
    Stack(
        says="Files of safetensors deleted (RECORD intact)",
        level=2,
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(RTX_3090,), torch=TORCH_CU130, packages=TORCH_213,
        ),
        damage=_delete_torch_files,
        words="safetensors.{0,80}(missing|gone|deleted|damage|not there)|(missing|gone|damage).{0,80}safetensors",
    ),
    Stack(
        says="Two metadata folders of transformers (5.16.1, 4.40.0)",
        machine=Machine(driver=NEW, cuda="13.0", gpus=(RTX_3090,), torch=TORCH_CU130, packages=TORCH_213),
        damage=lambda site: install(site, "transformers", "4.40.0", {}),
        words=r"transformers.{0,80}(twice|two|several|more than one|duplicate|4\.40)",
    ),
    Stack(
        says='CUDA_VISIBLE_DEVICES="" hides the GPU',
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(RTX_3090,), torch=Torch(cuda="13.0", arches=CU130, available=False),
            packages=TORCH_213, env={"CUDA_VISIBLE_DEVICES": ""},
        ),
        words="CUDA_VISIBLE_DEVICES.{0,40}(hides|masks|names)",
    ),
    Stack(
        says="CUDA_VISIBLE_DEVICES=3 on a machine with one GPU",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(RTX_3090,), torch=Torch(cuda="13.0", arches=CU130, available=False),
            packages=TORCH_213, env={"CUDA_VISIBLE_DEVICES": "3"},
        ),
        words="CUDA_VISIBLE_DEVICES.{0,40}(hides|masks|names)",
    ),
    Stack(
        says="Python 3.9 for vLLM 0.33",
        backend="vllm",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(RTX_3090,), python="3.9.18", torch=Torch(cuda="12.8", arches=CU128),
            packages={"torch": "2.8.0+cu128"},
        ),
        words=r"python.{0,60}3\.9|3\.9.{0,60}python",
    ),
    Stack(
        says="VLLM_ATTENTION_BACKEND set, vLLM 0.33",
        backend="vllm",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(RTX_3090,), torch=TORCH_CU130, packages=VLLM_NEW, requires=VLLM_PINS,
            env={"VLLM_ATTENTION_BACKEND": "FLASH_ATTN"},
        ),
        words="VLLM_ATTENTION_BACKEND",
    ),
    Stack(
        says="vLLM 0.33 with transformers 4.57",
        backend="vllm",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(H100,), torch=TORCH_CU130, requires=VLLM_PINS,
            packages={**VLLM_NEW, "transformers": "4.57.1"},
        ),
        words=r"transformers.{0,80}(5\.16|>=)",
    ),
    Stack(
        says="vLLM 0.33 compiled for torch 2.14, torch 2.12.1 installed",
        backend="vllm",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(H100,), torch=TORCH_CU130, requires=VLLM_PINS,
            packages={**VLLM_NEW, "torch": "2.12.1+cu130"},
        ),
        words=r"torch.{0,60}2\.14",
    ),
    Stack(
        says="vLLM 0.33 on a GTX 1080 Ti (floor 7.5)",
        backend="vllm",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(GTX_1080_TI,), torch=TORCH_CU130, packages=VLLM_NEW, requires=VLLM_PINS
        ),
        words=r"sm_61|6\.1",
    ),
    Stack(
        says="ROCm torch beside an NVIDIA card",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(RTX_3090,), torch=Torch(cuda=None, available=False),
            packages={"torch": "2.13.0+rocm7.2", "transformers": "5.16.1", "accelerate": "1.14.0"},
        ),
        words=r"rocm",
    ),
    Stack(
        says="sound: H100, driver 580, vLLM 0.33 with its pins",
        backend="vllm",
        machine=Machine(
            driver=NEW, cuda="13.0", gpus=(H100,), torch=TORCH_CU130, packages=VLLM_NEW, requires=VLLM_PINS
        ),
        words="",
    ),
    Stack(
        says="sound: T4, driver 525, torch 2.13.0+cu126 (minor-version compatibility)",
        machine=Machine(
            driver="525.147.05", cuda="12.0", gpus=(T4,), torch=Torch(cuda="12.6", arches=CU126),
            packages={"torch": "2.13.0+cu126", "transformers": "5.16.1", "accelerate": "1.14.0"},
        ),
        words="",
    ),
    Stack(
        says="sound: no NVIDIA at all, CPU torch",
        machine=Machine(
            torch=Torch(cuda=None, available=False),
            packages={"torch": "2.13.0+cpu", "transformers": "5.16.1", "accelerate": "1.14.0"},
        ),
        words="",
    ),
)  # fmt: skip
