"""The CPU, or the virtual machine's view of it, lacks an instruction set that the binary uses."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import Known, value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "cpu_isa_missing"
REMEDY = Remedy(says="Give the virtual machine the host's CPU type, or use a build without the missing instructions.", commands=("lscpu", "cmake -B build -DGGML_NATIVE=OFF -DGGML_AVX2=OFF"))
SIGNS = (
    Sign("illegal instruction", "A program used an instruction that the CPU does not have.", confidence="likely"),
    Sign("sigill", "A program used an instruction that the CPU does not have.", confidence="likely"),
    Sign("0xc000001d", "A program used an instruction that the CPU does not have.", confidence="likely"),
    Sign("exit code 132", "A program used an instruction that the CPU does not have.", confidence="likely"),
    Sign("does not have avx", "The CPU has no AVX."),
    Sign("doesn't have avx", "The CPU has no AVX."),
    Sign("does not support avx", "The CPU has no AVX."),
    Sign("no avx", "The CPU has no AVX.", r"no avx2?\b.{0,40}(?:support|detected|available|found)|cpu .{0,30}no avx", confidence="likely"),
    Sign("cpu does not have", "The CPU lacks an instruction set.", r"avx|vector extension|sse|fma|f16c"),
    Sign("cpu do not have", "The CPU lacks an instruction set."),
    Sign("cpu features", "The CPU lacks an instruction set.", r"(?:missing|lack|not (?:available|supported|have)|require).{0,60}(?:avx|sse|fma)|cpu features.{0,40}(?:missing|not)", confidence="likely"),
    Sign("avx2", "The CPU has no AVX2.", r"(?:requires?|needs?|missing|without|lacks?|not support(?:ed|ing)?|no).{0,20}avx2\b|avx2 (?:is )?(?:not (?:supported|available|detected|found)|required|missing)", confidence="likely", unless=("no avx2 = ",)),
    Sign("avx512", "The CPU has no AVX-512.", r"(?:requires?|needs?|missing|without|lacks?|not support(?:ed)?).{0,20}avx-?512|avx-?512\w* (?:is )?(?:not (?:supported|available|detected|found)|required|missing)", confidence="likely"),
    Sign("amx", "The CPU has no AMX.", r"(?:requires?|needs?|missing|lacks?).{0,20}amx|amx (?:is )?(?:not (?:supported|available)|required)", confidence="likely"),
    Sign("cpu lacks", "The CPU lacks an instruction set."),
    Sign("vector extensions", "Ollama found a CPU without vector extensions.", r"not (?:have|supported|detected)|without|no|lack"),
    Sign("disabling gpu support", "Ollama does not use the GPU because the CPU has no AVX.", r"avx|cpu", confidence="certain"),
    Sign("the cpu supports: ", "The program needs other CPU features.", severity="info", confidence="possible"),
    Sign("cpu lacks minimum vector extensions", "Ollama found a CPU without AVX."),
    Sign("please use a cpu with", "The program asks for another CPU.", confidence="likely"),
    Sign("was compiled to use: ", "The library was compiled for other CPU features.", r"not available|aborting|error", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the flags against what each backend's builds use."""
    flags_fact = case.snapshot.cpu.flags
    flags = set(value_of(flags_fact) or ())
    for finding in spoken(case, CAUSE, SIGNS, REMEDY):
        lacking = [name for name in ("avx", "avx2", "fma", "f16c") if flags and name not in flags]
        sure = finding.confidence == "likely" and lacking and _x86(flags)
        yield _with(finding, f"{finding.says[:-1]}; it lacks {', '.join(lacking)}.", quotes(*finding.evidence, case.quote("flags", flags_fact))) if sure else finding
    if not isinstance(flags_fact, Known) or not _x86(flags):
        return
    if "avx" not in flags:
        known_user = case.backend in ("ollama", "llama.cpp", "vllm", "")
        yield _finding(case, "blocker" if known_user and case.backend else "warning", "The CPU, as this system sees it, has no AVX.", "likely")
    elif "avx2" not in flags:
        yield _finding(case, "warning", "The CPU, as this system sees it, has no AVX2.", "likely")
    elif case.backend == "vllm" and case.torch.accelerator == "cpu" and "avx512f" not in flags:
        yield _finding(case, "warning", "vLLM's CPU build is made for AVX-512, which this CPU does not have.", "possible")


def _x86(flags: set[str]) -> bool:
    return "sse2" in flags or "sse" in flags


def _with(finding: Finding, says: str, evidence: tuple[object, ...]) -> Finding:
    return Finding(cause=finding.cause, severity=finding.severity, says=says, evidence=evidence, remedy=finding.remedy, confidence="certain")  # type: ignore[arg-type]


def _finding(case: Case, severity: str, says: str, confidence: str) -> Finding:
    return Finding(cause=CAUSE, severity=severity, says=says, evidence=quotes(case.quote("flags", case.snapshot.cpu.flags)), remedy=REMEDY, confidence=confidence)  # type: ignore[arg-type]


RULE = Rule(cause=CAUSE, link="device", judge=judge)
