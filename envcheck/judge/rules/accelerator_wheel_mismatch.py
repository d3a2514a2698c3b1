"""Accelerator stacks are mixed: CUDA 11 with 12 or 13 between packages, a CUDA build on a ROCm machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from envcheck.judge import versions
from envcheck.judge.rule import Case, Rule, quoted, remedy_of, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import installed, release_of, unreleased
from envcheck.judge.stack import cuda_of_tag
from envcheck.judge.versions import dotted
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "accelerator_wheel_mismatch"
_BUILT_FOR = re.compile(r"\+?(cu\d{2,3})(?!\d)")
_TORCH_TAG = re.compile(r"torch(\d\.\d{1,2})")
_EXTENSIONS = (
    "torchvision",
    "torchaudio",
    "xformers",
    "flashinfer",
    "flashinfer-python",
    "flash-attn",
    "vllm",
    "sgl-kernel",
    "auto-gptq",
    "autoawq",
    "torchao",
    "bitsandbytes",
    "deepspeed",
    "mamba-ssm",
    "causal-conv1d",
    "exllamav2",
    "llama-cpp-python",
)


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the CUDA tag of every extension against torch's, then CUDA builds on AMD machines."""
    for found in _found(case):
        yield msgspec.structs.replace(found, remedy=_remedy(case, found))


def _found(case: Case) -> Iterator[Finding]:
    yield from spoken(case, CAUSE)
    yield from _tags(case)
    yield from _default_wheel(case)
    yield from _vendor(case)
    yield from _runtimes(case)
    yield from _bitsandbytes(case)
    yield from _proved(case)


def _remedy(case: Case, found: Finding) -> Remedy:
    """The cause's remedy with a command for the packages that the finding names, else for those that are there."""
    remedy = remedy_of(CAUSE)
    said = f" {found.says.lower()} ".replace("_", "-")
    listed = [name for name in _EXTENSIONS if installed(case, name)]
    named = [name for name in (*_EXTENSIONS, *listed) if f" {name} " in said or f" {name}'s " in said]
    packages = dict.fromkeys(("torch", *(named or listed or ([case.backend] if case.backend in _EXTENSIONS else []))))
    command = f"uv pip install --reinstall {' '.join(packages)} --torch-backend=auto"
    return msgspec.structs.replace(remedy, commands=(command,))


def _tags(case: Case) -> Iterator[Finding]:
    torch = case.torch
    if torch.cuda is None or torch.accelerator != "cuda":
        return
    for name in _EXTENSIONS:
        label = value_of(case.snapshot.python.package(name)) or ""
        match = _BUILT_FOR.search(label.partition("+")[2])
        built = cuda_of_tag(match.group(1)) if match else None
        if built is None and match and len(match.group(1)) == _MAJOR_ONLY:
            built = (int(match.group(1)[2:]), 0)
        if built and built[0] != torch.cuda[0]:
            yield finding(
                CAUSE,
                "blocker",
                f"{name} {label} is made for CUDA {built[0]}, torch for CUDA {dotted(torch.cuda[:2])}.",
                case.package_quote(name),
                case.quote("torch", torch.fact),
                confidence="certain",
            )


_MAJOR_ONLY = 4


_CUDA_12_SINCE = "0.2.2"
"""From here on the wheels on the Python Package Index are for CUDA 12, before for CUDA 11.8.
https://github.com/vllm-project/vllm/releases/tag/v0.2.2"""


def _default_wheel(case: Case) -> Iterator[Finding]:
    """vLLM's wheel on the Python Package Index is made for one CUDA major; torch's tag says another."""
    row, have = release_of(case, "vllm"), installed(case, "vllm")
    made_for = cuda_of_tag(row.variant) if row else None
    if row is None and versions.at_least(have or "", _CUDA_12_SINCE):
        made_for = (12, 1)
    elif row is None and have:
        made_for = (11, 8)
    torch = case.torch
    if (
        made_for
        and have
        and "+" not in have
        and torch.cuda
        and torch.accelerator == "cuda"
        and made_for[0] != torch.cuda[0]
    ):
        says = (
            f"The default wheel of vLLM {have} is made for CUDA {made_for[0]}, torch for CUDA {dotted(torch.cuda[:2])}."
        )
        yield finding(CAUSE, "warning", says, case.package_quote("vllm"), case.quote("torch", torch.fact))


def _vendor(case: Case) -> Iterator[Finding]:
    """A build for one vendor on a machine that has only the other's GPUs."""
    torch = case.torch
    if torch.accelerator == "cuda" and case.amd and not case.nvidia and any(d.kind != "integrated" for d in case.amd):
        yield finding(
            CAUSE,
            "blocker",
            "torch is a CUDA build and the only GPU is AMD's.",
            case.quote("GPU", case.amd[0].fact),
            case.quote("torch", torch.fact),
            confidence="likely",
        )
    if torch.accelerator == "rocm" and case.nvidia and not case.amd:
        yield finding(
            CAUSE,
            "blocker",
            "torch is a ROCm build and the only GPU is NVIDIA's.",
            case.quote("GPU", case.nvidia[0].fact),
            case.quote("torch", torch.fact),
            confidence="likely",
        )
    rocm = torch.accelerator == "rocm" or (bool(case.amd) and not case.nvidia)
    if case.backend == "sglang" and rocm and not unreleased(installed(case, "sglang") or "dev"):
        own = installed(case, "sgl-kernel")
        if own is None or "rocm" not in own:
            says = "SGLang's kernels on the Python Package Index are a CUDA build; on AMD they are built from source."
            yield finding(
                CAUSE,
                "warning",
                says,
                case.package_quote("sglang"),
                case.quote("torch", torch.fact),
                confidence="possible",
            )
    cuda_packages = [
        p
        for p in ("flash-attn", "bitsandbytes", "sgl-kernel", "flashinfer")
        if "+cu" in (value_of(case.snapshot.python.package(p)) or "")
    ]
    if torch.accelerator == "rocm" and cuda_packages:
        yield finding(
            CAUSE,
            "blocker",
            f"{cuda_packages[0]} is a CUDA build and torch is a ROCm build.",
            case.package_quote(cuda_packages[0]),
            case.quote("torch", torch.fact),
            confidence="likely",
        )


def _runtimes(case: Case) -> Iterator[Finding]:
    """A wheel for another CUDA major than torch's, told by the runtime packages that came with it."""
    torch = case.torch
    if torch.cuda is None or torch.accelerator != "cuda":
        return
    found = list(case.paste.matching("nvidia-cuda-runtime-cu", r"nvidia-cuda-runtime-cu(\d\d)"))
    stray, majors = [line for line, _ in found], {match.group(1) for _, match in found}
    if majors and str(torch.cuda[0]) not in majors and "+" in torch.label:
        yield finding(
            CAUSE,
            "warning",
            f"The CUDA runtime packages are for CUDA {', '.join(sorted(majors))}, torch for CUDA "
            f"{dotted(torch.cuda[:2])}.",
            *(quoted(line) for line in stray[:2]),
            case.quote("torch", torch.fact),
            confidence="possible",
        )


_BINARY = r"libbitsandbytes_cuda(\d{2})(\d)"


def _bitsandbytes(case: Case) -> Iterator[Finding]:
    """bitsandbytes loads its library for one CUDA version; torch's tag names another major."""
    torch = case.torch
    if torch.cuda is None or torch.accelerator != "cuda":
        return
    for line, match in case.paste.matching("libbitsandbytes_cuda", _BINARY):
        if int(match.group(1)) != torch.cuda[0]:
            own = ".".join(match.groups())
            says = f"bitsandbytes loads its library for CUDA {own}, torch is for {dotted(torch.cuda[:2])}."
            yield finding(CAUSE, "warning", says, quoted(line), case.quote("torch", torch.fact), confidence="likely")
            return


_USE_TORCHS_RUNTIME = frozenset(
    {"flash-attn", "sgl-kernel", "sglang-kernel", "torchaudio", "torchcodec", "torchvision", "vllm", "xformers"}
)
"""Packages whose modules are loaded after torch and use its CUDA runtime. Others (llama-cpp-python, bitsandbytes, which
ships a library for each CUDA version) bring or choose their own."""
_CUDART = re.compile(r"libcudart\.so\.(\d{2})")


def proved(case: Case) -> Iterator[Finding]:
    """`_proved` with the remedy for what it names."""
    for found in _proved(case):
        yield msgspec.structs.replace(found, remedy=_remedy(case, found))


def _proved(case: Case) -> Iterator[Finding]:
    """What compiled modules are linked against, where a probe read it: the runtime's name has its major version."""
    torch = case.torch
    if torch.accelerator not in ("cuda", "cpu"):
        return
    for package in value_of(case.snapshot.python.packages) or ():
        majors = {int(found.group(1)) for each in package.needs_libraries if (found := _CUDART.match(each))}
        if package.name not in _USE_TORCHS_RUNTIME or not majors or (torch.cuda and torch.cuda[0] in majors):
            continue
        runs_on = f"for CUDA {dotted(torch.cuda[:2])}" if torch.cuda else "a CPU build"
        yield finding(
            CAUSE,
            "blocker",
            f"{package.name} {package.version} is linked against CUDA {min(majors)}, torch is {runs_on}.",
            case.package_quote(package.name),
            case.quote("torch", torch.fact),
            confidence="certain",
        )


RULE = Rule(
    cause=CAUSE,
    link="wheel",
    judge=judge,
    explains=("shared_library_missing", "torch_extension_abi_mismatch"),
    proved=proved,
)
