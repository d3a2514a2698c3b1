"""A compiled extension made for another torch, or for the other C++ ABI."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge import versions
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.versions import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.pins import Binaries
from envcheck.schema.verdict import Finding

CAUSE = "torch_extension_abi_mismatch"
_FOR_TORCH = re.compile(r"(?:torch|^pt)(\d)\.?(\d{1,2})")


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then extensions whose version names another torch, then release extensions under a nightly torch."""
    yield from spoken(case, CAUSE)
    torch = case.torch
    if torch.release is None:
        return
    for name, label in ((package.name, package.version) for package in value_of(case.snapshot.python.packages) or ()):
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
    yield from _binaries(case)
    if _self_made(torch.label):
        yield from _release_extensions(case)


_OLD_ABI_UNTIL = (2, 6)
"""Before torch 2.6 every wheel on the Python Package Index had the old C++ ABI.
https://dev-discuss.pytorch.org/t/pytorch-linux-wheels-switching-to-new-wheel-build-platform-manylinux-2-28-on-november-12-2024/2581"""


def _binaries(case: Case) -> Iterator[Finding]:
    """Extensions made for other releases of torch than the one installed, or for the other C++ ABI."""
    torch = case.torch.release
    if torch is None or case.torch.accelerator == "rocm" or _self_made(case.torch.label):
        return
    for name in dict.fromkeys(row.package for row in load("binaries", Binaries).extension):
        label = value_of(case.snapshot.python.package(name)) or ""
        made_for = _made_for(name, label)
        evidence = case.package_quote(name), case.quote("torch", case.torch.fact)
        if made_for and dotted(torch[:2]) not in made_for and "+" not in label:
            says = f"{name} {label} has binaries for torch {', '.join(made_for)}; installed is {case.torch.label}."
            yield finding(CAUSE, "warning", says, *evidence, confidence="possible")
        if "cxx11abitrue" in label.lower() and torch < _OLD_ABI_UNTIL:
            says = f"{name} {label} is made for the new C++ ABI; wheels of torch {case.torch.label} have the old one."
            yield finding(CAUSE, "warning", says, *evidence, confidence="likely")


def _made_for(name: str, label: str) -> tuple[str, ...]:
    """The torch minors for which this release of an extension has binaries; empty where no row says."""
    if not label:
        return ()
    rows = (row for row in load("binaries", Binaries).extension if row.package == name)
    return next((row.torch for row in rows if versions.at_least(versions.base(label), row.first)), ())


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
