"""The weights fit, the KV cache for the context length does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._sizes import options_told, smallest_mib, taken_share, used_gpus, weights_mib
from envcheck.schema.verdict import Finding

CAUSE = "kv_cache_memory_insufficient"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then what vLLM counted itself, then the room that the weights leave for one request of full length."""
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
    """vLLM keeps a request of full length in the cache at least once, else it does not start."""
    need, memory, weights = case.need, smallest_mib(case), weights_mib(case)
    if case.backend != "vllm" or need is None or memory is None or weights is None or weights > memory:
        return
    share = taken_share(case)
    room = memory * share - weights - need.work_mib
    device = used_gpus(case)[0]
    if room <= 0:
        says = (
            f"The weights take {weights / 1024:.1f} GiB of the {memory * share / 1024:.1f} GiB that vLLM may use on "
            f"{device.name}: with its work space nothing is left for the KV cache."
        )
        yield finding(CAUSE, "blocker" if options_told(case) else "warning", says, case.quote("GPU", device.fact))
    elif need.request_mib is not None and need.request_mib > room:
        says = (
            f"One request of {need.context} tokens takes {need.request_mib / 1024:.1f} GiB of KV cache; beside the "
            f"weights {room / 1024:.1f} GiB are left on {device.name}."
        )
        certain = need.context_stated and need.request_mib > room * _CLEARLY
        yield finding(CAUSE, "blocker" if certain else "warning", says, case.quote("GPU", device.fact))


_CLEARLY = 1.15
"""How far the need must lie above the room before it blocks: activations and graphs are estimates."""

RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("gpu_memory_insufficient", "host_resources_insufficient"))
