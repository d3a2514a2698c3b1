"""An attention, LoRA or Triton kernel that does not run on this GPU, by generation or shared memory; the rest of the backend does."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import below, quotes
from envcheck.judge.rules._models import has_mla
from envcheck.judge.version import dotted
from envcheck.schema.verdict import Finding, Quote, Remedy

CAUSE = "attention_kernel_unsupported_on_gpu"
REMEDY = Remedy(says="Choose another attention backend: --attention-backend TRITON_ATTN (vLLM) or triton (SGLang), or torch's own attention (sdpa).", commands=("vllm serve MODEL --attention-backend TRITON_ATTN", "python -m sglang.launch_server --attention-backend triton"))
SIGNS = (
    Sign("flashattention only supports ampere", "FlashAttention 2 needs compute capability 8.0."),
    Sign("flashattention only support", "FlashAttention needs a newer GPU."),
    Sign("flash attention only supports", "FlashAttention needs a newer GPU."),
    Sign("flashattention-2 backend for volta and turing", "FlashAttention 2 cannot be used on this generation; another backend is chosen.", severity="info"),
    Sign("flashattention-3", "FlashAttention 3 needs Hopper.", r"only|not support|require", confidence="likely"),
    Sign("fa3 is only supported", "FlashAttention 3 needs Hopper."),
    Sign("fa version", "The chosen FlashAttention version does not run on this GPU.", r"not supported|only supported"),
    Sign("out of resource: shared memory", "A Triton kernel asks for more shared memory than the GPU has."),
    Sign("outofresources", "A Triton kernel asks for more resources than the GPU has."),
    Sign("/flashinfer/", "A FlashInfer kernel does not run on this GPU.", r"no kernel image|invalid device function|unsupported"),
    Sign("flashinfer", "FlashInfer does not run on this GPU.", r"flashinfer.{0,80}(?:requires?|only supports?|not supported|doesn't support|does not support|needs?).{0,60}(?:sm|compute|gpu|capab|turing|volta|ampere)", confidence="likely"),
    Sign("batchprefillwithpagedkvcache", "A FlashInfer kernel failed on this GPU.", r"failed|error", confidence="likely"),
    Sign("flashmla", "FlashMLA needs Hopper.", r"only supported|not supported|requires|unsupported", confidence="likely"),
    Sign("attention", "This attention implementation does not run on the GPU.", r"attention.{0,80}(?:requires?|only supports?|not supported (?:on|for|by)|doesn't support|does not support|needs?).{0,60}(?:sm_?\d|compute capab|gpu|turing|volta|ampere|hopper|device capab|arch)", confidence="likely"),
    Sign("no available kernel", "torch found no attention kernel for this GPU and these options.", confidence="likely"),
    Sign("punica", "The Punica LoRA kernels need compute capability 8.0.", r"compute capability|no kernel image|not (?:supported|available|compiled)|>= ?8"),
    Sign("lora", "The LoRA kernels need a newer GPU.", r"lora.{0,60}(?:compute capability|>= ?8\.0|not supported on)", confidence="likely"),
    Sign("assert !(srclayout && dstlayout && \"unexpected", "Triton cannot compile this kernel for the GPU.", confidence="likely"),
    Sign("mma -> mma layout conversion is only supported on ampere", "Triton cannot compile this kernel for a GPU older than Ampere."),
    Sign("mmav1tommav", "Triton cannot compile this kernel for a GPU older than Ampere.", confidence="likely"),
    Sign("triton only support cuda capability", "Triton needs compute capability 7.0."),
    Sign("triton only supports cuda capability", "Triton needs compute capability 7.0."),
    Sign("too old to support the triton gpu compiler", "Triton does not support this GPU."),
    Sign("unsupported conversion from f16 to f16", "Triton cannot compile this kernel for the GPU."),
    Sign("pass_manager", "Triton cannot compile this kernel for the GPU.", r"pass.{0,40}fail", severity="warning", confidence="possible"),
    Sign("warp_specialize", "Triton cannot compile this kernel for the GPU.", r"fail|error|not support", severity="warning", confidence="possible"),
    Sign("no operator found for `memory_efficient_attention_forward`", "xFormers has no attention kernel for this GPU and format.", confidence="likely"),
    Sign("requires device with capability", "The kernel needs a newer GPU.", confidence="likely"),
    Sign("sinks are only supported", "Attention sinks need another GPU generation."),
    Sign("attention sinks", "Attention sinks need another GPU generation.", r"not supported|only|require", confidence="likely"),
    Sign("tcgen05", "The kernel is written for data-centre Blackwell.", r"not supported|error|fail|unsupported", confidence="likely"),
)  # fmt: skip
_SMALL_SHARED_MEMORY = ((7, 5), (8, 6), (8, 9), (12, 0), (12, 1))
"""Generations with at most 100 KiB (7.5: 64 KiB) of shared memory for a block.
https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#features-and-technical-specifications-technical-specifications-per-compute-capability"""


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then FlashInfer and FlashAttention below Ampere, LoRA below Ampere, and MLA kernels on small shared memory."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    yield from _flashinfer(case)
    yield from _chosen(case)
    yield from _latent(case)
    yield from _lora(case)


def _flashinfer(case: Case) -> Iterator[Finding]:
    """FlashInfer's early wheels hold sm_80 and newer; SGLang up to 0.3 chooses it without looking."""
    low = [d for d in case.nvidia if d.capability and d.capability < (8, 0)]
    if not low or case.backend != "sglang" or case.package("flashinfer") is None:
        return
    old = below(case.package("sglang"), (0, 4)) and below(case.package("flashinfer"), (0, 1, 7))
    yield _finding("blocker" if old else "warning", f"SGLang uses FlashInfer, whose kernels start at compute capability 8.0; {low[0].name} has {dotted(low[0].capability or ())}.", "likely" if old else "possible", case.quote("GPU", low[0].fact), case.package_quote("flashinfer"))


def _chosen(case: Case) -> Iterator[Finding]:
    chosen = (case.option("attention_backend") or case.variable("VLLM_ATTENTION_BACKEND") or "").upper()
    floor = {"FLASH_ATTN": (8, 0), "FLASH_ATTN_VLLM_V1": (8, 0), "FLASHINFER": (7, 5), "FLASHMLA": (9, 0), "FA3": (9, 0), "CUTLASS_MLA": (10, 0), "TRTLLM_MLA": (10, 0), "TRTLLM_MHA": (10, 0)}.get(chosen)
    low = [d for d in case.nvidia if floor and d.capability and d.capability < floor]
    if low and floor:
        yield _finding("blocker", f"The attention backend {chosen} needs compute capability {dotted(floor)}; {low[0].name} has {dotted(low[0].capability or ())}.", "likely", case.quote("GPU", low[0].fact))
    if (case.variable("VLLM_FLASH_ATTN_VERSION") or "") == "3":
        other = [d for d in case.nvidia if d.capability and d.capability[0] != 9]
        if other:
            yield _finding("blocker", f"VLLM_FLASH_ATTN_VERSION=3 needs compute capability 9.x; {other[0].name} has {dotted(other[0].capability or ())}.", "likely", case.quote("GPU", other[0].fact))


def _latent(case: Case) -> Iterator[Finding]:
    if not has_mla(case) or case.backend not in ("sglang", "vllm"):
        return
    for device in case.nvidia:
        if device.capability and device.capability[:2] in _SMALL_SHARED_MEMORY:
            yield _finding("warning", f"Latent attention's Triton kernels ask for more shared memory than {device.name} ({dotted(device.capability)}) gives a block.", "likely", case.quote("GPU", device.fact))
            return
    for device in case.amd:
        if case.backend == "sglang" and device.gfx:
            yield _finding("warning", f"Latent attention's Triton kernels, tuned for 228 KiB of shared memory, meet the 64 KiB of {device.gfx}.", "possible", case.quote("GPU", device.fact))
            return


def _lora(case: Case) -> Iterator[Finding]:
    low = [d for d in case.nvidia if d.capability and d.capability < (8, 0)]
    if low and case.option("enable_lora") is not None and below(case.package("vllm"), (0, 6)):
        yield _finding("blocker", f"The Punica LoRA kernels of this vLLM need compute capability 8.0; {low[0].name} has {dotted(low[0].capability or ())}.", "likely", case.quote("GPU", low[0].fact))


def _finding(severity: str, says: str, confidence: str, *evidence: Quote) -> Finding:
    return Finding(cause=CAUSE, severity=severity, says=says, evidence=quotes(*evidence), remedy=REMEDY, confidence=confidence)  # type: ignore[arg-type]


RULE = Rule(cause=CAUSE, link="backend", judge=judge, explains=("gpu_arch_not_in_build",))
