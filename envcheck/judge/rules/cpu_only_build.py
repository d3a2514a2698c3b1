"""A CPU-only build of torch or of the backend on a machine with a GPU."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes, windows
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "cpu_only_build"
REMEDY = Remedy(says="Install the build for this GPU: torch from the index of its accelerator, llama.cpp with its GPU backend compiled in.", commands=("uv pip install --reinstall torch --torch-backend=auto", "cmake -B build -DGGML_CUDA=ON"))
SIGNS = (
    Sign("torch not compiled with cuda enabled", "torch is a CPU-only build."),
    Sign("not compiled with gpu offload support", "llama.cpp was built without a GPU backend."),
    Sign("compiled without gpu support", "The program was built without GPU support.", confidence="likely"),
    Sign("built without gpu support", "The program was built without GPU support.", confidence="likely"),
    Sign("not built with cuda", "The program was built without CUDA.", confidence="likely"),
    Sign("no usable gpu found, --gpu-layers option will be ignored", "llama.cpp was built without a GPU backend or finds none.", confidence="likely"),
    Sign("no usable gpu found", "llama.cpp was built without a GPU backend or finds none.", confidence="likely"),
    Sign("torch.cuda.is_available() should be true but is false", "torch cannot use CUDA.", confidence="possible"),
    Sign("attempting to deserialize object on a cuda device but torch.cuda.is_available() is false", "torch cannot use CUDA.", confidence="possible"),
    Sign("cuda backend is not available", "The program was built without CUDA.", confidence="likely"),
    Sign("blas = 0", "llama.cpp was built without BLAS or a GPU backend.", severity="warning", confidence="possible"),
    Sign("dynamic llm libraries", "Ollama has only CPU runners.", r"dynamic llm libraries.{0,20}\[cpu(?:_avx2?)?(?: cpu(?:_avx2?)?)*\]", confidence="likely"),
    Sign("torch==", "A CPU build of torch is installed.", r"torch==\S{3,30}\+cpu", severity="info"),
    Sign("found gpu but", "The program found a GPU that its build cannot use.", confidence="likely"),
    Sign("failed to infer device type", "The backend finds no device that its build could use.", confidence="possible", severity="warning"),
    Sign("no platform detected, vllm is running on unspecifiedplatform", "vLLM finds no device that its build could use.", confidence="possible", severity="info"),
    Sign("support_gpu_offload", "llama.cpp's Python binding was built without a GPU backend.", r"support_gpu_offload\W{0,6}(?:false|0)"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then a CPU build of torch beside a GPU."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    torch = case.torch
    gpu = case.has_gpu() or isinstance(case.snapshot.nvidia.driver, Known)
    fact = case.devices[0].fact if case.devices else case.snapshot.nvidia.driver
    if torch.accelerator == "cpu" and gpu:
        yield _finding("blocker", f"torch {torch.label} is a CPU-only build and the machine has a GPU.", "certain", case, fact)
    elif torch.accelerator == "cpu" and case.backend in ("vllm", "sglang", "tensorrt-llm") and not case.amd:
        yield _finding("warning", f"torch {torch.label} is a CPU-only build.", "possible", case, fact)
    elif torch.accelerator == "" and torch.available is False and gpu and torch.release and windows(case):
        yield _finding("blocker", "CUDA is not available to torch: the wheels on PyPI for Windows are CPU-only.", "likely", case, fact)


def _finding(severity: str, says: str, confidence: str, case: Case, fact: object) -> Finding:
    evidence = quotes(case.quote("torch", case.torch.fact), case.quote("GPU", fact) if isinstance(fact, Known) else None)
    return Finding(cause=CAUSE, severity=severity, says=says, evidence=evidence, remedy=REMEDY, confidence=confidence)  # type: ignore[arg-type]


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
