"""The weights fit, the KV cache for the context length does not."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "kv_cache_memory_insufficient"
REMEDY = Remedy(says="Lower the context length, quantize the KV cache, or leave it more memory.", commands=("vllm serve MODEL --max-model-len 8192 --kv-cache-dtype fp8", "llama-server -m MODEL -c 8192"))
SIGNS = (
    Sign("no available memory for the cache blocks", "No GPU memory is left for the KV cache."),
    Sign("larger than the maximum number of tokens that can be stored in kv cache", "The KV cache is too small for the context length."),
    Sign("larger than the available kv cache memory", "The KV cache is too small for the context length."),
    Sign("kv cache is needed", "The KV cache is too small for the context length.", r"larger|available|memory"),
    Sign("the estimated maximum model length is", "The KV cache is too small for the context length."),
    Sign("is greater than the derived max_model_len", "The context asked for is longer than the model's.", severity="info", confidence="possible"),
    Sign("to serve at least one request with the model", "The KV cache is too small for the context length."),
    Sign("available kv cache memory", "No GPU memory is left for the KV cache.", r"available kv cache memory.{0,20}(?:-\d|\b0\.0\d* )", confidence="likely"),
    Sign("llama_kv_cache_init() failed", "The KV cache could not be allocated."),
    Sign("failed to allocate buffer for kv cache", "The KV cache could not be allocated."),
    Sign("kv cache", "The KV cache could not be allocated.", r"(?:failed|unable|cannot|could not|not enough|insufficient|no (?:available )?memory|out of memory|too small).{0,80}kv[ -_]?cache|kv[ _-]?cache.{0,80}(?:alloc\w* fail|out of memory|too small|not enough|insufficient|exceeds|failed to alloc)", confidence="likely"),
    Sign("kv_cache", "The KV cache could not be allocated.", r"kv_cache.{0,80}(?:fail|not enough|insufficient|out of memory)|(?:fail|unable|cannot|not enough).{0,40}kv_cache", confidence="likely", unless=("kv_cache_dtype", "kv_cache_scheme")),
    Sign("the model's max seq len", "The KV cache is too small for the context length.", r"is larger than"),
    Sign("not enough memory. please try to increase --mem-fraction-static", "No GPU memory is left for the KV cache.", confidence="likely"),
    Sign("try increasing `gpu_memory_utilization`", "No GPU memory is left for the KV cache.", confidence="likely"),
    Sign("# gpu blocks: 0", "No GPU memory is left for the KV cache."),
    Sign("failed to create context", "llama.cpp could not allocate the context.", severity="blocker", confidence="possible"),
    Sign("failed to initialize the context", "llama.cpp could not allocate the context.", r"kv|memory|alloc", confidence="likely"),
    Sign("llama_init_from_model: failed to initialize the context", "llama.cpp could not allocate the context.", confidence="possible"),
    Sign("failed to allocate compute", "No memory is left for the context's work space.", severity="warning", confidence="possible"),
    Sign("exceeds the available kv cache", "The KV cache is too small for the request.", confidence="likely"),
    Sign("cannot allocate kv", "The KV cache could not be allocated."),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs; what a cache would need is worked out by `fit`, not guessed here."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)


RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("gpu_memory_insufficient", "host_resources_insufficient"))
