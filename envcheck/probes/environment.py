"""Environment variables that change what backends and installers do: by an allow-list, with personal parts removed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envcheck.probes._redact import VALUE_LIMIT, Redactor, is_secret
from envcheck.probes._values import table, text
from envcheck.schema.facts import Known, Unknown
from envcheck.schema.probe import Evidence, Probe

if TYPE_CHECKING:
    from envcheck.host import Host

_FAMILIES = """
    ACCELERATE_ AMD_ BNB_ CUDA_ CUDNN_ FLASHINFER_ FLASH_ATTENTION_ GGML_ GLOO_ GPTQMODEL_ GPU_ HF_ HIP_ HSA_
    HUGGINGFACE_ LLAMA_ LMDEPLOY_ MIOPEN_ MKL_ MPS_ NCCL_ NVIDIA_ NVTE_ NV_ OLLAMA_ OMP_ ONEAPI_ OPENBLAS_
    PYTORCH_ RAY_ RCCL_ ROCM_ ROCR_ SAFETENSORS_ SGLANG_ SGL_ SYCL_ TENSORRT_ TLLM_ TOKENIZERS_ TORCH
    TRANSFORMERS_ TRITON_ TRTLLM_ UCX_ UR_ VK_ VLLM_ XFORMERS_ XLA_ ZE_
"""
_SINGLE = """
    ASCEND_VISIBLE_DEVICES CC CMAKE_ARGS CMAKE_PREFIX_PATH CONDA_DEFAULT_ENV CPATH CUDACXX CUDAHOSTCXX CXX
    DO_NOT_TRACK FORCE_CMAKE GOMP_CPU_AFFINITY JAX_PLATFORMS KMP_AFFINITY LD_LIBRARY_PATH LD_PRELOAD LIBRARY_PATH
    MAX_JOBS NUMBA_CACHE_DIR PYTHONHASHSEED PYTHONHOME PYTHONNOUSERSITE PYTHONPATH PYTHONUTF8 TMPDIR
    USE_FLASH_ATTENTION VIRTUAL_ENV XDG_CACHE_HOME
"""
_PREFIXES = tuple(_FAMILIES.split())
_NAMES = frozenset(_SINGLE.split())
# Installers: only what changes which packages are taken, not the whole family.
_INSTALLERS = re.compile(
    r"PIP_(?:INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CONSTRAINT|TARGET|PREFIX|USER|NO_BINARY|ONLY_BINARY|PRE|"
    r"CONFIG_FILE|REQUIRE_VIRTUALENV|BREAK_SYSTEM_PACKAGES|NO_CACHE_DIR|CACHE_DIR|NO_BUILD_ISOLATION)"
    r"|UV_(?:INDEX|DEFAULT_INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CONSTRAINT|OVERRIDE|TORCH_BACKEND|OFFLINE|"
    r"CUDA_DRIVER_VERSION|AMD_GPU_ARCHITECTURE|PRERELEASE|INDEX_STRATEGY|LINK_MODE|CACHE_DIR|CONFIG_FILE|NO_CONFIG|"
    r"EXCLUDE_NEWER|SYSTEM_PYTHON|BREAK_SYSTEM_PACKAGES|PROJECT_ENVIRONMENT|PYTHON|NO_CACHE|NO_BUILD_ISOLATION)"
)
_PATHS = frozenset({"VIRTUAL_ENV", "CONDA_DEFAULT_ENV"})


def is_listed(name: str) -> bool:
    """Whether a variable of this name may be read at all."""
    if is_secret(name):
        return False
    listed = name in _NAMES or name.endswith("VISIBLE_DEVICES") or bool(_INSTALLERS.fullmatch(name))
    return listed or name.startswith(_PREFIXES)


def collect(host: Host) -> Evidence:
    """Listed variables; each value redacted before it becomes evidence."""
    redact = Redactor(host)
    return {
        "variables": {name: _shown(name, value, redact) for name, value in sorted(host.env.items()) if is_listed(name)}
    }


def _shown(name: str, value: str, redact: Redactor) -> str:
    # The name of a conda environment or a virtual environment is the user's own word: that one is active is enough.
    return ("<venv>" if value else "") if name in _PATHS else redact(value)


def parse(evidence: Evidence) -> Known[dict[str, str]] | Unknown:
    """Name to redacted value; a variable set to nothing keeps its empty value, which is not the same as unset."""
    variables = table(evidence).get("variables")
    if not isinstance(variables, dict):
        return Unknown(why="the environment variables were not read")
    kept = {name: text(value, VALUE_LIMIT) or "" for name, value in table(variables).items() if isinstance(value, str)}
    return Known(value={name: value for name, value in kept.items() if text(name, 100) == name}, source="environment")


PROBE = Probe(section="environment", collect=collect, parse=parse)
