"""A package that the chosen option needs is not installed."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import below, finding
from envcheck.judge.rules._models import method
from envcheck.judge.rules._pins import missing_pins, not_listed
from envcheck.schema.verdict import Finding, Quote, Severity

CAUSE = "dependency_missing"
_CHOSEN = {"FLASHINFER": ("flashinfer", "flashinfer-python"), "XFORMERS": ("xformers",)}
"""Attention backend of vLLM to the distributions that carry it, any of which serves."""


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then what the chosen attention backend, number format or quantization needs against the list."""
    yield from spoken(case, CAUSE)
    yield from _attention(case)
    yield from _quantization(case)
    for owner, name, specifier in missing_pins(case):
        says = f"{owner} needs {name} {specifier}, and the list does not show it."
        yield finding(CAUSE, "warning", says, case.package_quote(owner.split(" ")[0]), confidence="possible")


def _attention(case: Case) -> Iterator[Finding]:
    chosen = (case.option("attention_backend") or case.variable("VLLM_ATTENTION_BACKEND") or "").upper()
    names = _CHOSEN.get(chosen, ())
    if names and all(not_listed(case, name) for name in names):
        says = f"The attention backend {chosen} is chosen and {names[0]} is not installed."
        yield finding(CAUSE, "blocker", says, _setting(case), confidence="likely")
    fp8_cache = (case.option("kv_cache_dtype") or "").startswith("fp8")
    old = case.backend == "vllm" and below(case.package("vllm"), (0, 8))
    if not names and fp8_cache and old and all(not_listed(case, name) for name in _CHOSEN["FLASHINFER"]):
        says = "An FP8 KV cache on this vLLM wants the FlashInfer backend, and flashinfer is not installed."
        yield finding(CAUSE, "warning", says, case.package_quote("vllm"), confidence="possible")


def _quantization(case: Case) -> Iterator[Finding]:
    wanted = method(case) == "bitsandbytes" and case.backend in ("vllm", "sglang", "transformers")
    if wanted and case.package("bitsandbytes") is None:
        sure = case.packages_listed()
        says = "Quantization bitsandbytes needs the package bitsandbytes, which is not listed."
        # `transformers env` and collect_env never name it, so that their silence means nothing; the servers do not
        # bring it along, while who asks transformers for it has mostly installed it.
        guess: Severity = "info" if case.backend == "transformers" else "warning"
        yield finding(CAUSE, "blocker" if sure else guess, says, confidence="likely" if sure else "possible")


def _setting(case: Case) -> Quote | None:
    return next((quoted(line) for line in case.paste.having("attention_backend")), None)


RULE = Rule(cause=CAUSE, link="backend", judge=judge)
