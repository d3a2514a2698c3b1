"""`NAME=value` in any notation (`export`, `docker -e`, `Environment=`): variables that change how a backend runs."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer
from envcheck.schema.paste import Paste

_PREFIXES = (
    "CUDA_",
    "HIP_",
    "ROCR_",
    "HSA_",
    "NVIDIA_",
    "NCCL_",
    "VLLM_",
    "SGLANG_",
    "SGL_",
    "OLLAMA_",
    "GGML_",
    "TORCH_",
    "PYTORCH_",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "GPU_DEVICE_ORDINAL",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "TRITON_",
    "FLASHINFER_",
    "XLA_",
    "RAY_",
    "AMD_",
    "ZE_",
    "ONEAPI_",
    "SYCL_",
)
_SET = re.compile(
    r"(?<![\w-])((?:" + "|".join(_PREFIXES) + r")[A-Z0-9_]{0,60})=(\"[^\"\n]{0,400}\"|'[^'\n]{0,400}'|[^\s\"'`]{0,600})"
)


def read(paste: Paste, draft: Draft) -> bool:
    """Take every setting, in the order of the paste."""
    found = False
    for line in paste.having("="):
        if "_" in line.text and len(line.text) <= _LONG:
            for name, value in _SET.findall(line.text)[:20]:
                draft.variable(name, value.strip("\"'"), line)
                found = True
    return found


_LONG = 4_500

IMPORTER = Importer("environment_lines", read)
