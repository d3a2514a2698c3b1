"""nvcc, ptxas, gcc or glslc are too old or too new for the GPU, for each other or for the source."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.versions import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "build_toolchain_incompatible"
# https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html : first toolkit that knows each
# compute capability.
_FIRST_TOOLKIT = (
    ((12, 1), (12, 9)),
    ((12, 0), (12, 8)),
    ((10, 3), (12, 9)),
    ((10, 0), (12, 8)),
    ((9, 0), (11, 8)),
    ((8, 9), (11, 8)),
    ((8, 6), (11, 1)),
    ((8, 0), (11, 0)),
)


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then nvcc against torch's CUDA major and against the newest GPU."""
    yield from spoken(case, CAUSE)
    fact = case.snapshot.toolchain.nvcc
    nvcc = version(value_of(fact))
    if nvcc is None:
        return
    torch = case.torch
    if torch.cuda and torch.accelerator == "cuda" and nvcc[0] != torch.cuda[0] and case.backend in ("vllm", "sglang"):
        says = (
            f"nvcc is {dotted(nvcc)} and torch is made for CUDA {dotted(torch.cuda[:2])}: no extension can be compiled."
        )
        yield finding(
            CAUSE, "warning", says, case.quote("nvcc", fact), case.quote("torch", torch.fact), confidence="possible"
        )
    for device in case.nvidia:
        needed = next(
            (
                toolkit
                for capability, toolkit in _FIRST_TOOLKIT
                if device.capability and device.capability >= capability
            ),
            None,
        )
        if needed and nvcc[:2] < needed:
            yield finding(
                CAUSE,
                "warning" if case.backend in ("sglang", "llama.cpp") else "info",
                f"nvcc {dotted(nvcc)} cannot compile for {device.name} ({dotted(device.capability or ())}), "
                f"which needs {dotted(needed)}.",
                case.quote("nvcc", fact),
                case.quote("GPU", device.fact),
                confidence="possible",
            )
            return


RULE = Rule(cause=CAUSE, link="backend", judge=judge)
