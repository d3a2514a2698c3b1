"""What Ollama's log says about the GPUs it looked for."""

from __future__ import annotations

from envcheck.judge.rule import Case
from envcheck.schema.paste import Line

_FOUND = ("library=cuda", "library=rocm", "library=vulkan", "library=metal", "library=oneapi", "library=hip")


def nothing_found(case: Case) -> list[Line]:
    """The lines with which Ollama says that it will use the CPU; empty where it found a GPU or said neither.

    gpu.go and types.go of https://github.com/ollama/ollama/tree/main/discover
    """
    if any(name in line.text.lower() for line in case.paste.having("inference compute") for name in _FOUND):
        return []
    said = list(case.paste.having("no compatible gpus were discovered"))
    return said + [line for line in case.paste.having("inference compute") if "library=cpu" in line.text.lower()]
