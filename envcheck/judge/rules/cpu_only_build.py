"""A CPU-only build of torch or of the backend on a machine with a GPU."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding, quotes, windows
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Confidence, Finding, Severity

CAUSE = "cpu_only_build"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then a CPU build of torch beside a GPU."""
    yield from spoken(case, CAUSE)
    torch = case.torch
    gpu = case.has_gpu() or isinstance(case.snapshot.nvidia.driver, Known)
    fact = case.devices[0].fact if case.devices else case.snapshot.nvidia.driver
    if torch.accelerator == "cpu" and gpu:
        yield _finding(
            "blocker", f"torch {torch.label} is a CPU-only build and the machine has a GPU.", "certain", case, fact
        )
    elif torch.accelerator == "cpu" and case.backend in ("vllm", "sglang", "tensorrt-llm") and not case.amd:
        yield _finding("warning", f"torch {torch.label} is a CPU-only build.", "possible", case, fact)
    elif torch.accelerator == "" and torch.available is False and gpu and torch.release and windows(case):
        yield _finding(
            "blocker",
            "CUDA is not available to torch: the wheels on PyPI for Windows are CPU-only.",
            "likely",
            case,
            fact,
        )


def _finding(severity: Severity, says: str, confidence: Confidence, case: Case, fact: object) -> Finding:
    evidence = quotes(
        case.quote("torch", case.torch.fact), case.quote("GPU", fact) if isinstance(fact, Known) else None
    )
    return finding(CAUSE, severity, says, *evidence, confidence=confidence)


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
