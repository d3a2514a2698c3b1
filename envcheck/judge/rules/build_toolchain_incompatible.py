"""nvcc, ptxas, gcc or glslc are too old or too new for the GPU, for each other or for the source."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge import tables, versions
from envcheck.judge.device import Device
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import installed
from envcheck.judge.versions import Version, dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.pins import SourceBuild, Toolkits
from envcheck.schema.verdict import Finding, Quote

CAUSE = "build_toolchain_incompatible"
_BUILT_HERE = re.compile(
    r"(?:pip3?|uv pip|python3? setup\.py) (?:install|build|develop)\b.{0,200}"
    r"(?:flash[-_]attn|flash-attention|deepspeed|apex|autoawq|causal[-_]conv1d|mamba[-_]ssm|llama[-_]cpp[-_]python|exllama"
    r"|vllm\.git|xformers\.git|setup\.py|--no-build-isolation| -e \.)",
    re.IGNORECASE,
)
"""A command that compiles CUDA code on the machine where it runs (flash-attn does where no binary fits)."""


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then nvcc and Triton against torch's CUDA major, the GPU and what is compiled here."""
    yield from spoken(case, CAUSE)
    yield from _triton(case)
    yield from _flashinfer(case)
    fact = case.snapshot.toolchain.nvcc
    nvcc = version(value_of(fact))
    if nvcc is None:
        yield from _stated(case)
        return
    yield from _source_build(case, nvcc)
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


def _triton(case: Case) -> Iterator[Finding]:
    """Triton assembles kernels with the ptxas of its own wheel, which may not know a GPU that torch has code for."""
    label = installed(case, "triton")
    have = version(label)
    own_assembler = any(case.variable(name) for name in ("TRITON_PTXAS_PATH", "TRITON_PTXAS_BLACKWELL_PATH"))
    if have is None or own_assembler or case.backend not in ("vllm", "sglang", "transformers", ""):
        return
    for device in case.nvidia:
        rows = (
            row for row in load("toolkits", Toolkits).triton if version(row.compute_capability) == device.capability
        )
        first = next((row.first for row in rows), None)
        if first and have < (version(first) or ()):
            says = f"Triton {label} brings an assembler that does not know {device.name} ({device.sm}); {first} does."
            evidence = (case.package_quote("triton"), case.quote("GPU", device.fact))
            yield finding(CAUSE, "warning", says, *evidence, confidence="likely")
            return


def _flashinfer(case: Case) -> Iterator[Finding]:
    """FlashInfer drops the targets that nvcc cannot compile, and where none is left says that the GPU is too old.

    https://github.com/flashinfer-ai/flashinfer/blob/main/flashinfer/compilation_context.py
    """
    lines = list(case.paste.having("requires gpus with sm75 or higher"))
    new = [device for device in case.nvidia if device.capability and device.capability >= _FLASHINFER_FROM]
    if lines and new and len(new) == len(case.nvidia):
        says = f"FlashInfer finds no target to compile for; {new[0].name} ({new[0].sm}) is new enough, so nvcc is not."
        yield finding(CAUSE, "blocker", says, quoted(lines[0]), case.quote("GPU", new[0].fact))


_FLASHINFER_FROM = (7, 5)


def _source_build(case: Case, nvcc: Version) -> Iterator[Finding]:
    """The oldest nvcc that the build script of what is being compiled takes."""
    built = _command(case)
    for package in ("flash-attn",) if built and _FLASH.search(built.text) else ():
        asked = re.search(r"==\s?(\d[\w.]{0,20})", built.text) if built else None
        row = _row_of(package, asked.group(1) if asked else installed(case, package))
        if row and nvcc < (version(row.nvcc) or ()):
            says = f"The build script of {package} takes nvcc from {row.nvcc} on; here it is {dotted(nvcc)}."
            evidence = (built, case.quote("nvcc", case.snapshot.toolchain.nvcc))
            yield finding(CAUSE, "blocker", says, *evidence, confidence="likely")


_FLASH = re.compile(r"flash[-_]?att(?:n|ention)", re.IGNORECASE)


def _row_of(package: str, release: str | None) -> SourceBuild | None:
    rows = [row for row in load("toolkits", Toolkits).source_build if row.package == package]
    return next((row for row in rows if release is None or versions.at_least(release, row.first)), None)


def _stated(case: Case) -> Iterator[Finding]:
    """Where nobody shows nvcc: a toolkit in somebody's list of facts, beside a torch of another CUDA major."""
    torch, built = case.torch, _command(case)
    if built is None or torch.cuda is None or torch.accelerator != "cuda":
        return
    for line, match in case.paste.matching("cuda", _TOOLKIT_SAID):
        said = version(match.group(1))
        if said and said[0] != torch.cuda[0] and tables.driver_floor(match.group(1)):
            says = (
                f"CUDA here is {match.group(1)} and torch is made for {dotted(torch.cuda[:2])}: an extension that is "
            )
            says += "compiled on the spot needs a toolkit of torch's CUDA major."
            yield finding(CAUSE, "warning", says, quoted(line), built, confidence="possible")
            return


_TOOLKIT_SAID = r"^\W{0,6}(?:system |local )?cuda(?: toolkit| version)?\W{1,4}v?(\d{2}\.\d)\b"


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
    return _command(case) is not None


def _command(case: Case) -> Quote | None:
    literals = ("pip install", "pip3 install", "setup.py", "--no-build-isolation")
    lines = (line for literal in literals for line in case.paste.having(literal) if _BUILT_HERE.search(line.text))
    found = next(lines, None)
    return quoted(found) if found else None


def _first_toolkit(device: Device) -> Version | None:
    """The first CUDA toolkit that compiles for the device; None where every listed one does."""
    rows = load("toolkits", Toolkits).generation
    known = device.capability
    found = [row for row in rows if known and known >= (version(row.compute_capability) or ())]
    return version(max(found, key=lambda row: version(row.compute_capability) or ()).first) if found else None


RULE = Rule(cause=CAUSE, link="backend", judge=judge)
