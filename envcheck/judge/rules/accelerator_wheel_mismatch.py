"""The accelerator stack of one package differs from that of torch or of the machine: CUDA 11, 12 and 13 mixed, a CUDA build on ROCm."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, quoted, said, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.stack import cuda_of_tag
from envcheck.judge.version import dotted
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "accelerator_wheel_mismatch"
REMEDY = Remedy(says="Reinstall the packages from one index so that torch and every compiled extension are made for the same accelerator.", commands=("uv pip install --reinstall torch vllm --torch-backend=auto",))
SIGNS = (
    Sign("libcudart.so.", "A package is linked against another CUDA major than the one installed.", r"libcudart\.so\.\d{2}\S{0,6}:? .{0,20}cannot open"),
    Sign("libcublas.so.", "A package is linked against another CUDA major than the one installed.", r"libcublas\.so\.\d{2}\S{0,6}:? .{0,20}cannot open", severity="warning", confidence="possible"),
    Sign("libcublaslt.so.", "A package is linked against another CUDA major than the one installed.", r"cannot open", severity="warning", confidence="possible"),
    Sign("libamdhip64.so", "A ROCm build runs where there is no ROCm.", r"cannot open", confidence="likely"),
    Sign("libhsa-runtime64.so", "A ROCm build runs where there is no ROCm.", r"cannot open", severity="warning", confidence="possible"),
    Sign("detected that pytorch and torchvision were compiled with different cuda", "torch and torchvision are made for different CUDA versions."),
    Sign("detected that pytorch and torchaudio were compiled with different cuda", "torch and torchaudio are made for different CUDA versions."),
    Sign("compiled with different cuda", "Packages are made for different CUDA versions."),
    Sign("different cuda major versions", "Packages are made for different CUDA versions."),
    Sign("the installed version of bitsandbytes was compiled", "bitsandbytes is made for another CUDA version.", r"cuda"),
    Sign("bitsandbytes library was compiled", "bitsandbytes is made for another CUDA version.", confidence="likely"),
    Sign("libbitsandbytes_cuda", "bitsandbytes has no library for this CUDA version.", r"libbitsandbytes_cuda\d+\S*\.(?:so|dll).{0,80}(?:not found|no such|cannot open|could not)|could not find .{0,60}libbitsandbytes_cuda|required library version not found: libbitsandbytes_cuda"),
    Sign("cuda version mismatch", "Two parts are made for different CUDA versions.", confidence="likely"),
    Sign("mismatched cuda", "Two parts are made for different CUDA versions.", confidence="likely"),
    Sign("was built with cuda", "Two parts are made for different CUDA versions.", r"was built with cuda.{0,60}(?:but|torch|pytorch|while)", confidence="likely"),
    Sign("hip vs cuda", "CUDA and ROCm builds are mixed.", confidence="likely"),
    Sign("amd gpu detected, but", "A CUDA build runs on an AMD GPU.", confidence="likely"),
)  # fmt: skip
_BUILT_FOR = re.compile(r"\+?(cu\d{2,3})(?!\d)")
_TORCH_TAG = re.compile(r"torch(\d\.\d{1,2})")
_EXTENSIONS = ("torchvision", "torchaudio", "xformers", "flashinfer", "flashinfer-python", "flash-attn", "vllm", "sgl-kernel", "auto-gptq", "autoawq", "torchao", "bitsandbytes", "deepspeed", "mamba-ssm", "causal-conv1d", "exllamav2", "llama-cpp-python")


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the CUDA tag of every extension against torch's, then CUDA builds on AMD machines."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    yield from _tags(case)
    yield from _vendor(case)
    yield from _runtimes(case)


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
            yield Finding(
                cause=CAUSE,
                severity="blocker",
                says=f"{name} {label} is made for CUDA {built[0]}, torch for CUDA {dotted(torch.cuda[:2])}.",
                evidence=quotes(case.package_quote(name), case.quote("torch", torch.fact)),
                remedy=REMEDY,
                confidence="certain",
            )


_MAJOR_ONLY = 4


def _vendor(case: Case) -> Iterator[Finding]:
    """A build for one vendor on a machine that has only the other's GPUs."""
    torch = case.torch
    if torch.accelerator == "cuda" and case.amd and not case.nvidia and any(d.kind != "integrated" for d in case.amd):
        yield Finding(cause=CAUSE, severity="blocker", says="torch is a CUDA build and the only GPU is AMD's.", evidence=quotes(case.quote("GPU", case.amd[0].fact), case.quote("torch", torch.fact)), remedy=REMEDY, confidence="likely")
    if torch.accelerator == "rocm" and case.nvidia and not case.amd:
        yield Finding(cause=CAUSE, severity="blocker", says="torch is a ROCm build and the only GPU is NVIDIA's.", evidence=quotes(case.quote("GPU", case.nvidia[0].fact), case.quote("torch", torch.fact)), remedy=REMEDY, confidence="likely")
    cuda_packages = [p for p in ("flash-attn", "bitsandbytes", "sgl-kernel", "flashinfer") if "+cu" in (value_of(case.snapshot.python.package(p)) or "")]
    if torch.accelerator == "rocm" and cuda_packages:
        yield Finding(cause=CAUSE, severity="blocker", says=f"{cuda_packages[0]} is a CUDA build and torch is a ROCm build.", evidence=quotes(case.package_quote(cuda_packages[0]), case.quote("torch", torch.fact)), remedy=REMEDY, confidence="likely")


def _runtimes(case: Case) -> Iterator[Finding]:
    """A vLLM or SGLang wheel for another CUDA major than torch's, told by the runtime packages that were installed with it."""
    torch = case.torch
    if torch.cuda is None or torch.accelerator != "cuda":
        return
    stray = [line for line in said(case, Sign("nvidia-cuda-runtime-cu", "", r"nvidia-cuda-runtime-cu\d\d"))]
    majors = {match.group(1) for line in stray if (match := re.search(r"runtime-cu(\d\d)", line.text))}
    if majors and str(torch.cuda[0]) not in majors and "+" in torch.label:
        yield Finding(cause=CAUSE, severity="warning", says=f"The CUDA runtime packages are for CUDA {', '.join(sorted(majors))}, torch for CUDA {dotted(torch.cuda[:2])}.", evidence=quotes(*(quoted(line) for line in stray[:2]), case.quote("torch", torch.fact)), remedy=REMEDY, confidence="possible")


RULE = Rule(cause=CAUSE, link="wheel", judge=judge, explains=("shared_library_missing", "torch_extension_abi_mismatch"))
