"""gfx targets of ROCm builds, until the rules read them from the tables of the matrix."""

from __future__ import annotations

from typing import NamedTuple

from envcheck.judge.rule import Case

# https://github.com/astral-sh/uv/blob/main/crates/uv-torch/src/backend.rs and pytorch's .ci/docker/manywheel/build.sh
_ROCM_62 = frozenset(["gfx900", "gfx906", "gfx908", "gfx90a", "gfx942", "gfx1030", "gfx1100"])
_ROCM_64 = _ROCM_62 | frozenset(["gfx1101", "gfx1102", "gfx1200", "gfx1201"])
_ROCM_70 = _ROCM_64 | {"gfx950"}
_ROCM_72 = _ROCM_70 | {"gfx1150", "gfx1151", "gfx1103"}
# https://docs.vllm.ai/en/latest/getting_started/installation/gpu.html , AMD ROCm
_VLLM = frozenset(["gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1101", "gfx1200", "gfx1201"])
# https://github.com/sgl-project/sglang/blob/main/sgl-kernel/setup_rocm.py : gfx942 and gfx950
_SGLANG = frozenset({"gfx942", "gfx950"})
# https://github.com/ollama/ollama/blob/main/docs/gpu.mdx
_OLLAMA = frozenset(
    [
        "gfx908",
        "gfx90a",
        "gfx940",
        "gfx941",
        "gfx942",
        "gfx950",
        "gfx1010",
        "gfx1012",
        "gfx1030",
        "gfx1100",
        "gfx1101",
        "gfx1102",
        "gfx1151",
        "gfx1200",
        "gfx1201",
    ]
)


class Targets(NamedTuple):
    """The gfx targets something is made for."""

    what: str
    targets: frozenset[str]
    certain: bool


def targets(case: Case) -> Targets | None:
    """The narrowest list that is known for what was to run."""
    if case.backend == "sglang":
        return Targets("SGLang's ROCm build", _SGLANG, certain=True)
    if case.backend == "vllm":
        return Targets("vLLM's ROCm build", _VLLM, certain=False)
    if case.backend == "ollama":
        return Targets("Ollama's ROCm runner", _OLLAMA, certain=False)
    rocm = case.torch.rocm
    if rocm is None:
        return None
    table = _ROCM_62 if rocm < (6, 3) else _ROCM_64 if rocm < (7, 0) else _ROCM_70 if rocm < (7, 2) else _ROCM_72
    return Targets(f"torch for ROCm {'.'.join(map(str, rocm[:2]))}", table, certain=False)
