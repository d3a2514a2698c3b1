"""A compiled extension made for another torch, or for the other C++ ABI."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.version import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "torch_extension_abi_mismatch"
_FOR_TORCH = re.compile(r"torch(\d)\.?(\d{1,2})")
_EXTENSIONS = (
    "flashinfer",
    "flashinfer-python",
    "flash-attn",
    "xformers",
    "sgl-kernel",
    "vllm",
    "auto-gptq",
    "autoawq-kernels",
    "causal-conv1d",
    "mamba-ssm",
    "deepspeed",
)


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then extensions whose version names another torch, then release extensions under a nightly torch."""
    yield from spoken(case, CAUSE)
    torch = case.torch
    if torch.release is None:
        return
    for name in _EXTENSIONS:
        label = value_of(case.snapshot.python.package(name)) or ""
        match = _FOR_TORCH.search(label.partition("+")[2])
        if match:
            built = (int(match.group(1)), int(match.group(2)))
            if built != torch.release[:2]:
                # FlashInfer's wheels were in wide use beside the next torch minor, and worked there.
                next_minor = name.startswith("flashinfer") and torch.release[:2] == (built[0], built[1] + 1)
                yield finding(
                    CAUSE,
                    "info" if next_minor else "warning",
                    f"{name} {label} is made for torch {dotted(built)}, installed is {torch.label}.",
                    case.package_quote(name),
                    case.quote("torch", torch.fact),
                    confidence="likely",
                )
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
            yield finding(
                CAUSE,
                "warning",
                f"torch {case.torch.label} is not a release, and the wheel of {name} {label} is made for one.",
                case.package_quote(name),
                case.quote("torch", case.torch.fact),
                confidence="likely",
            )
            return


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
