"""A package that the chosen option needs is not installed."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._models import method
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Confidence, Finding, Quote, Severity

CAUSE = "dependency_missing"
_OWN = (
    "vllm._c",
    "vllm._moe_c",
    "vllm.commit_id",
    "vllm._version",
    "vllm.vllm_flash_attn",
    "vllm._flash",
    "torch._c",
    "'_ctypes'",
    "'_lzma'",
    "'_bz2'",
    "'_sqlite3'",
)
_CHOSEN = {"FLASHINFER": ("flashinfer", "flashinfer-python"), "XFORMERS": ("xformers",), "FLASH_ATTN": ()}
_LISTED_BY_COLLECT_ENV = ("flashinfer", "flashinfer-python", "triton", "torch", "transformers", "numpy")
_LISTED_BY_SGLANG = (
    "flashinfer",
    "flashinfer-python",
    "vllm",
    "triton",
    "torchao",
    "xgrammar",
    "outlines",
    "sgl-kernel",
    "transformers",
)


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the packages that the chosen attention backend or quantization needs against the list."""
    yield from spoken(case, CAUSE)
    chosen = (case.option("attention_backend") or case.variable("VLLM_ATTENTION_BACKEND") or "").upper()
    names = _CHOSEN.get(chosen, ())
    if names and all(_missing(case, name) for name in names):
        yield _finding(
            "blocker",
            f"The attention backend {chosen} is chosen and {names[0]} is not installed.",
            "likely",
            _setting(case),
        )
    if (
        method(case) == "bitsandbytes"
        and case.backend in ("vllm", "sglang", "transformers")
        and not case.package("bitsandbytes")
    ):
        certain = case.packages_listed()
        yield _finding(
            "blocker" if certain else "warning",
            "Quantization bitsandbytes needs the package bitsandbytes, which is not listed.",
            "likely" if certain else "possible",
            None,
        )


def _missing(case: Case, name: str) -> bool:
    """True only where the list that was read would show the package."""
    fact = case.snapshot.python.packages
    if not isinstance(fact, Known) or case.package(name) is not None:
        return False
    if case.packages_listed() and case.snapshot.origin == "machine":
        return True
    return (
        ("collect_env" in fact.source and name in _LISTED_BY_COLLECT_ENV)
        or ("sglang_check_env" in fact.source and name in _LISTED_BY_SGLANG)
        or "pip list" in fact.source
    )


def _setting(case: Case) -> Quote | None:
    for line in case.paste.having("attention_backend"):
        return Quote(line=line.number, text=line.text.strip()[:200])
    return None


def _finding(severity: Severity, says: str, confidence: Confidence, where: Quote | None) -> Finding:
    return finding(CAUSE, severity, says, where, confidence=confidence)


RULE = Rule(cause=CAUSE, link="backend", judge=judge)
