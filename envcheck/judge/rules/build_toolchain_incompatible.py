"""nvcc, ptxas, gcc or glslc are too old or too new for the GPU, for each other or for the source."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.device import Device
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.versions import Version, dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.pins import Toolkits
from envcheck.schema.verdict import Finding

CAUSE = "build_toolchain_incompatible"
_BUILT_HERE = re.compile(
    r"(?:pip3?|uv pip|python3? setup\.py) (?:install|build|develop)\b.{0,200}"
    r"(?:flash[-_]attn|flash-attention|deepspeed|apex|autoawq|causal[-_]conv1d|mamba[-_]ssm|llama[-_]cpp[-_]python|exllama"
    r"|vllm\.git|xformers\.git|setup\.py|--no-build-isolation| -e \.)",
    re.IGNORECASE,
)
"""A command that compiles CUDA code on the machine where it runs (flash-attn does where no binary fits)."""


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then nvcc against torch's CUDA major and against the newest GPU."""
    yield from spoken(case, CAUSE)
    fact = case.snapshot.toolchain.nvcc
    nvcc = version(value_of(fact))
    if nvcc is None:
        return
    yield from _torch(case, nvcc)
    yield from _host_compiler(case, nvcc)
    for device in case.nvidia:
        needed = _first_toolkit(device)
        if needed and nvcc[:2] < needed:
            yield finding(
                CAUSE,
                "warning" if case.backend in ("sglang", "llama.cpp") or _compiles(case) else "info",
                f"nvcc {dotted(nvcc)} cannot compile for {device.name} ({dotted(device.capability or ())}), "
                f"which needs {dotted(needed)}.",
                case.quote("nvcc", fact),
                case.quote("GPU", device.fact),
                confidence="possible",
            )
            return


def _torch(case: Case, nvcc: Version) -> Iterator[Finding]:
    """torch refuses to build an extension with an nvcc of another CUDA major than its own.

    https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py , `_check_cuda_version`.
    """
    torch = case.torch
    compiles = _compiles(case)
    if torch.cuda is None or torch.accelerator != "cuda" or nvcc[0] == torch.cuda[0]:
        return
    if case.backend in ("vllm", "sglang") or compiles:
        says = (
            f"nvcc is {dotted(nvcc)} and torch is made for CUDA {dotted(torch.cuda[:2])}: no extension can be compiled."
        )
        evidence = (case.quote("nvcc", case.snapshot.toolchain.nvcc), case.quote("torch", torch.fact))
        yield finding(CAUSE, "warning", says, *evidence, confidence="likely" if compiles else "possible")


def _host_compiler(case: Case, nvcc: Version) -> Iterator[Finding]:
    """nvcc refuses a GCC that is newer than itself."""
    gcc = version(value_of(case.snapshot.toolchain.gcc))
    rows = load("toolkits", Toolkits).host_compiler
    newest = next((row.gcc for row in rows if nvcc >= (version(row.first) or ())), None)
    if gcc and newest and gcc[0] > newest:
        tools = case.snapshot.toolchain
        yield finding(
            CAUSE,
            "warning" if _compiles(case) else "info",
            f"nvcc {dotted(nvcc)} takes GCC up to {newest}; here it is {dotted(gcc)}.",
            case.quote("nvcc", tools.nvcc),
            case.quote("gcc", tools.gcc),
            confidence="likely",
        )


def _compiles(case: Case) -> bool:
    """Whether the paste shows a command that compiles CUDA code."""
    literals = ("pip install", "pip3 install", "setup.py", "--no-build-isolation")
    return any(_BUILT_HERE.search(line.text) for literal in literals for line in case.paste.having(literal))


def _first_toolkit(device: Device) -> Version | None:
    """The first CUDA toolkit that compiles for the device; None where every listed one does."""
    rows = load("toolkits", Toolkits).generation
    known = device.capability
    found = [row for row in rows if known and known >= (version(row.compute_capability) or ())]
    return version(max(found, key=lambda row: version(row.compute_capability) or ()).first) if found else None


RULE = Rule(cause=CAUSE, link="backend", judge=judge)
