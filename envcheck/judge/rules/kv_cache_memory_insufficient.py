"""The weights fit, the KV cache for the context length does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._sizes import memory_share
from envcheck.schema.verdict import Finding

CAUSE = "kv_cache_memory_insufficient"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then weights that leave little; what a cache needs exactly is worked out by `fit`."""
    yield from spoken(case, CAUSE)
    yield from _measured(case)
    yield from _little_left(case)


def _measured(case: Case) -> Iterator[Finding]:
    """vLLM's own count of blocks, or of requests of full length, that fit into what is left."""
    for line, match in case.paste.matching("maximum concurrency for", _CONCURRENCY.pattern):
        if float(match.group(2)) < 1:
            says = f"The KV cache holds {match.group(2)} of one request of {match.group(1)} tokens."
            yield finding(CAUSE, "blocker", says, quoted(line), confidence="certain")
            return
    asked = [(line, int(match.group(1))) for line, match in case.paste.matching("max_seq_len", _ASKED.pattern)]
    blocks = [(line, int(match.group(1))) for line, match in case.paste.matching("gpu blocks", _BLOCKS.pattern)]
    if asked and blocks and blocks[-1][1] * _BLOCK_TOKENS < asked[-1][1]:
        held = blocks[-1][1] * _BLOCK_TOKENS
        says = f"The KV cache holds {held} tokens; one request may have {asked[-1][1]}."
        yield finding(CAUSE, "blocker", says, quoted(blocks[-1][0]), quoted(asked[-1][0]), confidence="likely")


_CONCURRENCY = re.compile(
    r"maximum concurrency for ([\d,]{1,12}) tokens per request: (\d{1,6}\.\d{1,3})x", re.IGNORECASE
)
_ASKED = re.compile(r"max_seq_len=(\d{1,8})", re.IGNORECASE)
_BLOCKS = re.compile(r"gpu blocks: (\d{1,8})", re.IGNORECASE)
_BLOCK_TOKENS = 16
"""Tokens of a block unless `--block-size` is set: https://docs.vllm.ai/en/latest/configuration/engine_args/"""


def _little_left(case: Case) -> Iterator[Finding]:
    """The weights fit and leave so little that the cache for a long context hardly does."""
    share = memory_share(case)
    context = case.option("max_model_len") or case.option("context_length") or ""
    short = context.isdigit() and int(context) <= _SHORT
    # Without a length of one's own the engine reserves for the whole context that the model states.
    long = not context and case.backend == "vllm" and bool(_LONG_CONTEXT.search(case.model))
    if share is not None and (_LITTLE_FOR_LONG if long else _LITTLE) < share <= 1 and not short:
        says = f"The weights take about {share:.0%} of the GPU memory used, which leaves little for the KV cache."
        devices = case.nvidia or case.amd
        yield finding(CAUSE, "warning", says, case.quote("GPU", devices[0].fact), confidence="possible")


_LITTLE = 0.8
_SHORT = 4096
_LITTLE_FOR_LONG = 0.6
# Families whose config.json states 128 Ki tokens or more: model cards on https://huggingface.co
_LONG_CONTEXT = re.compile(
    r"llama-?3\.[123]|128k|mistral-nemo|phi-?3\.5|phi-?4-mini|gemma-?3|qwen3-.*(?:2507|coder|next)|deepseek-(?:v3|r1)"
    r"|glm-?4|command-r|llama-?4|gpt-oss|devstral|mistral-small-3",
    re.IGNORECASE,
)


RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("gpu_memory_insufficient", "host_resources_insufficient"))
