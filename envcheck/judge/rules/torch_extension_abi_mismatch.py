"""A compiled extension made for another torch, or for the other C++ ABI."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.version import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "torch_extension_abi_mismatch"
REMEDY = Remedy(says="Reinstall the extension in a build made for the installed torch, or both from one fresh resolve.", commands=("uv pip install --reinstall --no-cache vllm",))
SIGNS = (
    Sign("undefined symbol: _zn", "A compiled extension does not find a C++ symbol: it was made for another torch or C++ ABI.", r"undefined symbol: _ZN?K?\d*(?:2at|3c10|5torch|c10|at|torch)|undefined symbol: _ZN?K?(?:2at|3c10|5torch)|undefined symbol: _Z"),
    Sign("undefined symbol: _z", "A compiled extension does not find a C++ symbol: it was made for another torch or C++ ABI."),
    Sign("undefined symbol: aoti_", "A compiled extension needs a newer torch."),
    Sign("undefined symbol: torch_", "A compiled extension needs a newer torch."),
    Sign("undefined symbol: iJIT_NotifyEvent".lower(), "torch and MKL do not fit.", severity="blocker", confidence="possible"),
    Sign("undefined symbol: __nvjitlink", "torch loads a CUDA library of another version.", severity="warning", confidence="possible"),
    Sign("undefined symbol: pyobject", "An extension is made for another Python.", severity="warning", confidence="possible"),
    Sign("symbol not found in flat namespace", "A compiled extension was made for another torch.", r"__?Z|torch|c10", confidence="likely"),
    Sign("the specified procedure could not be found", "A DLL of an extension was made for another torch.", severity="blocker", confidence="likely"),
    Sign("could not load this library", "A compiled extension of the torch family cannot be loaded.", severity="warning", confidence="possible"),
    Sign("operator torchvision::nms does not exist", "torchvision was made for another torch.", severity="warning", confidence="likely"),
    Sign("was compiled against a different version of torch", "A compiled extension was made for another torch."),
    Sign("abi version", "A compiled extension has another ABI.", r"mismatch|incompatib", confidence="likely"),
    Sign("cxx11 abi", "A compiled extension has another C++ ABI.", r"mismatch|incompatib|different", confidence="likely"),
    Sign("has no attribute 'rms_norm'", "vLLM's compiled part is missing or cannot be loaded.", confidence="likely"),
    Sign("'_opnamespace' '_c' object has no attribute", "vLLM's compiled part is missing or cannot be loaded.", severity="warning", confidence="possible"),
    Sign("failed to import from vllm._c", "vLLM's compiled part cannot be loaded.", r"undefined symbol"),
    Sign("'_opnamespace' 'sgl_kernel' object has no attribute", "sgl_kernel's compiled part lacks a function.", severity="warning", confidence="possible"),
)  # fmt: skip
_FOR_TORCH = re.compile(r"torch(\d)\.?(\d{1,2})")
_EXTENSIONS = ("flashinfer", "flashinfer-python", "flash-attn", "xformers", "sgl-kernel", "vllm", "auto-gptq", "autoawq-kernels", "causal-conv1d", "mamba-ssm", "deepspeed")


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then extensions whose version names another torch, then release extensions under a nightly torch."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    torch = case.torch
    if torch.release is None:
        return
    for name in _EXTENSIONS:
        label = value_of(case.snapshot.python.package(name)) or ""
        match = _FOR_TORCH.search(label.partition("+")[2])
        if match:
            built = (int(match.group(1)), int(match.group(2)))
            if built != torch.release[:2]:
                yield Finding(cause=CAUSE, severity="warning", says=f"{name} {label} is made for torch {dotted(built)}, installed is {torch.label}.", evidence=quotes(case.package_quote(name), case.quote("torch", torch.fact)), remedy=REMEDY, confidence="likely")
    if _self_made(torch.label):
        yield from _release_extensions(case)


def _self_made(label: str) -> bool:
    return ".dev" in label or re.search(r"\d(?:a0|\+git)", label) is not None


def _release_extensions(case: Case) -> Iterator[Finding]:
    """A nightly or self-built torch has no stable C++ ABI; wheels made for a release rarely load beside it."""
    if case.torch.accelerator == "rocm" or case.amd:
        return
    for name in ("sgl-kernel", "vllm", "flash-attn", "xformers", "flashinfer"):
        label = value_of(case.snapshot.python.package(name)) or ""
        released = version(label) is not None and not any(word in label for word in ("dev", "git", "+", "rc"))
        if released:
            yield Finding(cause=CAUSE, severity="warning", says=f"torch {case.torch.label} is not a release, and the wheel of {name} {label} is made for one.", evidence=quotes(case.package_quote(name), case.quote("torch", case.torch.fact)), remedy=REMEDY, confidence="likely")
            return


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
