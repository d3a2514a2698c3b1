"""The CPU, or the virtual machine's view of it, lacks an instruction set that the binary uses."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._old_cpus import lacks
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Confidence, Finding, Severity

CAUSE = "cpu_isa_missing"


_EXPECTED = ("avx", "avx2", "fma", "f16c")


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the flags against what each backend's builds use."""
    flags_fact = case.snapshot.cpu.flags
    flags: set[str] = set(flags_fact.value if isinstance(flags_fact, Known) else ())
    lacking = [name for name in _EXPECTED if _x86(flags) and name not in flags]
    for spoken_of in spoken(case, CAUSE):
        if spoken_of.confidence == "likely" and lacking:
            says = f"{spoken_of.says[:-1]}; it lacks {', '.join(lacking)}."
            evidence = (*spoken_of.evidence, case.quote("flags", flags_fact))
            yield finding(CAUSE, spoken_of.severity, says, *evidence, confidence="certain")
        else:
            yield spoken_of
    if not isinstance(flags_fact, Known):
        yield from _named(case)
        return
    if not _x86(flags):
        return
    if "avx" not in flags:
        known_user = case.backend in ("ollama", "llama.cpp", "vllm", "")
        yield _finding(
            case,
            "blocker" if known_user and case.backend else "warning",
            "The CPU, as this system sees it, has no AVX.",
            "likely",
        )
    elif "avx2" not in flags:
        yield _finding(case, "warning", "The CPU, as this system sees it, has no AVX2.", "likely")
    elif case.backend == "vllm" and case.torch.accelerator == "cpu" and "avx512f" not in flags:
        yield _finding(
            case, "warning", "vLLM's CPU build is made for AVX-512, which this CPU does not have.", "possible"
        )


_CPU_WORDS = ("xeon", "core", "celeron", "pentium", "atom", "opteron", "phenom", "athlon", "i3-", "i5-", "i7-", "fx-")


def _named(case: Case) -> Iterator[Finding]:
    """What the CPU's name says, for the engines whose builds assume an instruction set at run time."""
    on_cpu = case.torch.accelerator == "cpu" or case.option("device") == "cpu"
    if case.backend not in ("ollama", "llama.cpp", "") and not on_cpu:
        return
    for word in _CPU_WORDS:
        for line in case.paste.having(word):
            lacking = lacks(line.text) if len(line.text) < _LONGEST_LINE else None
            if lacking:
                says = f"This CPU is of a generation without {lacking}."
                yield finding(CAUSE, "warning", says, quoted(line), confidence="possible")
                return


_LONGEST_LINE = 200


def _x86(flags: set[str]) -> bool:
    return "sse2" in flags or "sse" in flags


def _finding(case: Case, severity: Severity, says: str, confidence: Confidence) -> Finding:
    return finding(CAUSE, severity, says, case.quote("flags", case.snapshot.cpu.flags), confidence=confidence)


RULE = Rule(cause=CAUSE, link="device", judge=judge)
