"""One kernel (attention, LoRA, Triton) does not run on this GPU, by generation or shared memory; the rest does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge import tables
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import below, finding
from envcheck.judge.rules._matrix import installed
from envcheck.judge.rules._models import has_mla
from envcheck.judge.versions import dotted, version
from envcheck.schema.gaps import GpuFeatures
from envcheck.schema.verdict import Confidence, Finding, Quote, Severity

CAUSE = "attention_kernel_unsupported_on_gpu"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then FlashInfer, FlashAttention and LoRA below Ampere, and MLA kernels on small shared memory."""
    yield from (found for found in spoken(case, CAUSE) if not _old_compiler(case, found))
    yield from _flashinfer(case)
    yield from _chosen(case)
    yield from _latent(case)
    yield from _lora(case)
    yield from _capped(case)
    yield from _below_ampere(case)


def _old_compiler(case: Case, found: Finding) -> bool:
    """Whether the kernel is refused although every GPU is new enough: then the compiler is too old for it."""
    floors = [match for quote in found.evidence if (match := _NEEDS.search(quote.text))]
    known = [device.capability for device in case.nvidia if device.capability]
    floor = (int(floors[0].group(1)), int(floors[0].group(2))) if floors else None
    return floor is not None and bool(known) and all(have[:2] >= floor for have in known)


_NEEDS = re.compile(r"requires GPUs with sm_?(\d{1,2})(\d) or higher", re.IGNORECASE)


def _capped(case: Case) -> Iterator[Finding]:
    """Gemma 2 caps its attention logits, which xFormers, the kernel before Ampere, cannot.

    https://github.com/vllm-project/vllm/issues/9922 ; since 0.8 other kernels stand in.
    """
    low = [d for d in case.nvidia if d.capability and d.capability < (8, 0)]
    if low and case.backend == "vllm" and _CAPS.search(case.model) and below(case.package("vllm"), (0, 8)):
        says = f"Gemma 2 caps its attention logits, and {low[0].name} has no kernel for that in this vLLM."
        yield _finding("blocker", says, "likely", case.quote("GPU", low[0].fact))


_CAPS = re.compile(r"gemma-?2-")


def _flashinfer(case: Case) -> Iterator[Finding]:
    """FlashInfer's early wheels hold sm_80 and newer; SGLang up to 0.3 chooses it without looking."""
    low = [d for d in case.nvidia if d.capability and d.capability < (8, 0)]
    if not low or case.backend != "sglang" or case.package("flashinfer") is None:
        return
    old = below(case.package("sglang"), (0, 4)) and below(case.package("flashinfer"), (0, 1, 7))
    yield _finding(
        "blocker" if old else "warning",
        f"SGLang uses FlashInfer, whose kernels start at compute capability 8.0; {low[0].name} has "
        f"{dotted(low[0].capability or ())}.",
        "likely" if old else "possible",
        case.quote("GPU", low[0].fact),
        case.package_quote("flashinfer"),
    )


def _chosen(case: Case) -> Iterator[Finding]:
    """The kernel that was asked for by name, against the GPUs that the table says it runs on."""
    backend = case.backend if case.backend in ("vllm", "sglang") else "transformers"
    for asked in _asked(case):
        row = tables.kernel_row(backend, "attention", asked, installed(case, backend))
        floor = version(row.min_compute_capability) if row else None
        end = version(row.below) if row and row.below else None
        for device in case.nvidia:
            have = device.capability
            if row and floor and have and (have < floor or (end and have >= end)):
                span = f"from {row.min_compute_capability}" + (f" to below {row.below}" if row.below else " on")
                says = f"{asked} runs on compute capabilities {span}; {device.name} has {dotted(have)}."
                yield _finding("blocker", says, "likely", case.quote("GPU", device.fact))
                break


def _asked(case: Case) -> Iterator[str]:
    """Names of kernels in options and variables, in the table's spelling."""
    chosen = case.option("attention_backend") or case.variable("VLLM_ATTENTION_BACKEND") or ""
    if chosen:
        yield chosen.lower().removesuffix("_vllm_v1")
    for name in ("flash_attn", "attn_implementation"):
        if (case.option(name) or "").lower() in ("fa2", "flash_attention_2"):
            yield "flash_attention_2"
    if (case.variable("VLLM_FLASH_ATTN_VERSION") or "") == "3":
        yield "flash_attn_3"


def _latent(case: Case) -> Iterator[Finding]:
    if not has_mla(case) or case.backend not in ("sglang", "vllm"):
        return
    small = {version(row.compute_capability): row.kib for row in load("gpu_features", GpuFeatures).shared_memory}
    for device in case.nvidia:
        if device.capability and device.capability[:2] in small:
            yield _finding(
                "warning",
                f"Latent attention's Triton kernels ask for more shared memory than the {small[device.capability[:2]]} "
                f"KiB that {device.name} gives a block.",
                "likely",
                case.quote("GPU", device.fact),
            )
            return
    for device in case.amd:
        if case.backend == "sglang" and device.gfx:
            yield _finding(
                "warning",
                "Latent attention's Triton kernels, tuned for 228 KiB of shared memory, meet the 64 KiB of "
                f"{device.gfx}.",
                "possible",
                case.quote("GPU", device.fact),
            )
            return


def _below_ampere(case: Case) -> Iterator[Finding]:
    """FlashAttention 2 starts at 8.0; on older GPUs vLLM falls back, and what falls back is the part that fails."""
    low = [d for d in case.nvidia if d.capability and (7, 0) <= d.capability < (8, 0)]
    if low and case.backend == "vllm":
        says = f"FlashAttention needs compute capability 8.0; {low[0].name} falls back to another attention kernel."
        yield _finding("warning", says, "possible", case.quote("GPU", low[0].fact))


def _lora(case: Case) -> Iterator[Finding]:
    low = [d for d in case.nvidia if d.capability and d.capability < (8, 0)]
    if low and case.option("enable_lora") is not None and below(case.package("vllm"), (0, 6)):
        yield _finding(
            "blocker",
            f"The Punica LoRA kernels of this vLLM need compute capability 8.0; {low[0].name} has "
            f"{dotted(low[0].capability or ())}.",
            "likely",
            case.quote("GPU", low[0].fact),
        )


def _finding(severity: Severity, says: str, confidence: Confidence, *evidence: Quote) -> Finding:
    return finding(CAUSE, severity, says, *evidence, confidence=confidence)


RULE = Rule(cause=CAUSE, link="backend", judge=judge, explains=("gpu_arch_not_in_build",))
