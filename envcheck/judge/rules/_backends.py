"""Floors and pins of the backends by release, until the rules read them from the rows of the matrix."""

from __future__ import annotations

from envcheck.judge.rule import Case
from envcheck.judge.version import Version


def minimum_capability(case: Case) -> Version | None:
    """The lowest CUDA compute capability on which the backend's official builds run; None where unknown."""
    if case.torch.accelerator in ("cpu", "rocm"):
        return None
    return _CAPABILITY.get(case.backend)


# vLLM: https://docs.vllm.ai/en/latest/getting_started/installation/gpu.html (7.0; 7.5 since 2026, which a row with
its version range says).
# SGLang: https://docs.sglang.io/docs/get-started/quickstart . TensorRT-LLM: https://nvidia.github.io/TensorRT-LLM/supported-hardware.html
# Ollama: https://github.com/ollama/ollama/blob/main/docs/gpu.mdx
_CAPABILITY: dict[str, Version] = {"vllm": (7, 0), "sglang": (7, 5), "tensorrt-llm": (8, 0), "ollama": (5, 0)}
