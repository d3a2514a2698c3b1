"""How many tokens vLLM's KV cache holds, and how much one request of full length needs.

Source: vllm-project/vllm `vllm/v1/core/kv_cache_utils.py` (groups, pages, reported size),
`vllm/v1/kv_cache_interface.py` (bytes of a page, most a request can use), `vllm/model_executor/models/config.py` (block
size of hybrid models).

Layers of one kind form a group; groups are cut to equal size and share one pool of equally large pages. Where a page
of one kind is larger, the others take more tokens into a page until they are as large (a recurrent state's page decides
for hybrid models). What the log calls "GPU KV cache size" was blocks per group times tokens per block until 0.20 and is
concurrency times context length since 0.21 (vllm-project/vllm#40691).
"""

from __future__ import annotations

from collections import Counter

from envcheck.fit.memory_types import element_bytes
from envcheck.schema.facts import Record
from envcheck.schema.model import Attention, LatentAttention, Layer, ModelFacts, Recurrent

BLOCK = 16
"""Tokens of a block on GPUs (`CacheConfig.DEFAULT_BLOCK_SIZE`)."""

HYBRID_MANAGER = (0, 9, 2)
"""First version that keeps sliding windows apart; before, every layer cached the whole context."""
CONCURRENCY_TIMES_LENGTH = (0, 21)
"""First version that reports concurrency times context length."""

ALIGNED_LATENT, ALIGNED_LATENT_UNTIL, LATENT_ALIGNMENT = (0, 7, 2), (0, 8), 256
"""Releases that rounded a compressed entry of MLA up to this many bytes (`VLLM_CUDA_MEM_ALIGN_KV_CACHE`;
https://github.com/vllm-project/vllm/pull/13109 shows 640 elements for 576)."""

SCALED = 128
"""Elements that share one f32 scale in the "fp8_ds_mla" layout of sparse MLA (656 bytes for an entry of 576 elements;
vllm-project/vllm `v1/attention/backends/mla/flashmla_sparse.py`)."""

F32_STATE = frozenset({"qwen3_5", "qwen3_5_moe", "qwen3_5_text", "qwen3_5_moe_text", "nemotron_h", "kimi_linear"})
"""Architectures whose configuration asks for recurrent state in f32 (`mamba_ssm_dtype`); others use the model's."""


class Started(Record, gc=False):
    """What of a vLLM start-up the cache depends on."""

    max_length: int
    """`max_model_len`: tokens of the longest request."""
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    version: tuple[int, ...] = ()
    """Release as numbers; empty: unknown, taken for the newest."""
    cache_bytes: float = 2
    """Bytes of one cached element."""
    model_bytes: float = 2
    batched_tokens: int = 2048
    """`max_num_batched_tokens`."""
    prefix_caching: bool = False
    draft_tokens: int = 0
    """Tokens drafted ahead by the model's own multi-token prediction; 0: off."""
    drafter: bool = False
    """The published draft model is loaded beside it."""


class Spec(Record, gc=False):
    """What one layer caches."""

    token_bytes: int
    """Bytes per token; 0 for a recurrent state."""
    state_bytes: int = 0
    window: int = 0
    chunked: bool = False


class Pool(Record, cache_hash=True, gc=False):
    """The cache as vLLM lays it out."""

    page_bytes: int
    """Bytes of one page of one layer."""
    group_size: int
    groups: tuple[tuple[Spec, int], ...]
    """Per group: its kind of layer and the tokens of one block; 0 tokens for a state."""

    @property
    def block_bytes(self) -> int:
        """Bytes of one block of all layers in a group."""
        return self.page_bytes * self.group_size


def specs(facts: ModelFacts, started: Started) -> tuple[Spec, ...]:
    """What every layer caches on one GPU, drafting layers included; layers that cache nothing are left out."""
    by_layer = [_layer_specs(facts, layer, started) for layer in facts.layers()]
    found = [spec for specs_of_layer in by_layer for spec in specs_of_layer]
    if started.draft_tokens and facts.mtp_layers:
        whole = [[s for s in some if s.token_bytes and not s.window] for some in by_layer]
        found += next((some for some in reversed(whole) if some), []) * facts.mtp_layers
    if started.drafter and facts.drafter:
        # A drafter's layers look at every token, whatever window they were trained with.
        found += [spec for spec in found if spec.token_bytes and not spec.window][:1] * facts.drafter.layers
    return tuple(found)


def _layer_specs(facts: ModelFacts, layer: Layer, started: Started) -> list[Spec]:
    found = []
    if layer.recurrent is not None:
        found.append(Spec(token_bytes=0, state_bytes=_state_bytes(facts, layer.recurrent, started)))
    attention = layer.attention
    if isinstance(attention, LatentAttention):
        found.append(Spec(token_bytes=_latent_bytes(attention, started)))
        if attention.index_dim * attention.index_heads:
            # Index keys are fp8 with one f32 scale per 128 elements (DeepSeek V3.2 indexer cache).
            found.append(Spec(token_bytes=attention.index_dim + 4))
    elif isinstance(attention, Attention) and layer.caches:
        heads = max(attention.kv_heads // started.tensor_parallel, 1)
        width = heads * (attention.key_dim + attention.value_width)
        found.append(
            Spec(
                token_bytes=round(width * started.cache_bytes),
                window=attention.window or 0,
                chunked=attention.chunked,
            )
        )
    return found


def _latent_bytes(attention: LatentAttention, started: Started) -> int:
    """Bytes of one compressed entry: with an indexer, "fp8" scales every 128 elements and keeps the rotary key wide."""
    if started.cache_bytes == 1 and attention.index_heads:
        return attention.kv_rank + 4 * -(-attention.kv_rank // SCALED) + 2 * attention.rope_dim
    width = attention.cached_elements * started.cache_bytes
    if ALIGNED_LATENT <= started.version < ALIGNED_LATENT_UNTIL:
        width = -(-width // LATENT_ALIGNMENT) * LATENT_ALIGNMENT
    return round(width)


def _state_bytes(facts: ModelFacts, recurrent: Recurrent, started: Started) -> int:
    conv = recurrent.conv_elements
    if started.draft_tokens:
        conv += started.draft_tokens * recurrent.conv_channels
    width = 4 if facts.architecture in F32_STATE else started.model_bytes
    total = conv * started.model_bytes + recurrent.state_elements * width
    return round(total / started.tensor_parallel)


def pool(layers: tuple[Spec, ...], started: Started) -> Pool | None:
    """Group layers and size their pages; None when nothing is cached."""
    if started.version and started.version < HYBRID_MANAGER:
        layers = tuple(Spec(token_bytes=s.token_bytes, state_bytes=s.state_bytes) for s in layers)
    kinds = Counter(layers)
    if not kinds:
        return None
    full = [s for s in kinds if s.token_bytes and not s.window]
    if len(kinds) == 1 or (len(full) == len(kinds) and _one_type(full)):
        # One kind of layer, or full attention of several widths: one group, each layer its own page size.
        page = sum(s.token_bytes * BLOCK * n if s.token_bytes else s.state_bytes * n for s, n in kinds.items())
        first = next(iter(kinds))
        return Pool(page_bytes=page, group_size=1, groups=((first, BLOCK if first.token_bytes else 0),))
    page = _page(list(kinds))
    size = _group_size(list(kinds.values()))
    groups = []
    for spec, count in kinds.items():
        tokens = page // spec.token_bytes if spec.token_bytes else 0
        groups += [(spec, tokens)] * -(-count // size)
    return Pool(page_bytes=page, group_size=size, groups=tuple(groups))


def _one_type(full: list[Spec]) -> bool:
    return all(not spec.state_bytes for spec in full)


def _page(kinds: list[Spec]) -> int:
    """Bytes of a page: the largest of any kind, attention blocks grown to hold a recurrent state."""
    state = max((s.state_bytes for s in kinds), default=0)
    narrow = [s.token_bytes for s in kinds if s.token_bytes]
    if not narrow:
        return state
    smallest = max(narrow)
    tokens = BLOCK * max(-(-state // (BLOCK * smallest)), 1)
    return smallest * tokens


def _group_size(counts: list[int]) -> int:
    fewest, most = min(counts), max(counts)
    return most if most < fewest * 1.5 else fewest


def blocks_of_a_request(laid: Pool, started: Started) -> int:
    """Blocks that one request of the full length may use at most, all groups together."""
    return sum(_group_blocks(spec, tokens, started) for spec, tokens in laid.groups)


def _group_blocks(spec: Spec, tokens: int, started: Started) -> int:
    if not tokens:
        # A state of its own, one more for each drafted token, and one to share where prefixes are cached.
        return 1 + started.draft_tokens + (1 if started.prefix_caching else 0)
    if spec.window:
        kept = spec.window + started.batched_tokens - (0 if spec.chunked else 1)
        reach = min(kept, started.max_length)
        return -(-reach // tokens) + (0 if spec.chunked else 1)
    return -(-started.max_length // tokens)


def request_bytes(facts: ModelFacts, started: Started) -> float:
    """Bytes on one GPU of one request of the full length: what vLLM demands before it starts."""
    laid = pool(specs(facts, started), started)
    if laid is None:
        return 0.0
    return blocks_of_a_request(laid, started) * laid.block_bytes / started.pipeline_parallel


def capacity_tokens(facts: ModelFacts, started: Started, budget: float) -> int:
    """Tokens that vLLM reports for a cache of `budget` bytes on each GPU."""
    laid = pool(specs(facts, started), started)
    if laid is None or budget <= 0:
        return 0
    blocks = int(budget * started.pipeline_parallel // laid.block_bytes)
    if started.version and started.version < CONCURRENCY_TIMES_LENGTH:
        tokens = min(t for _, t in laid.groups if t) if any(t for _, t in laid.groups) else BLOCK
        return blocks // len(laid.groups) * tokens
    return int(blocks / blocks_of_a_request(laid, started) * started.max_length)


def concurrency(facts: ModelFacts, started: Started, budget: float) -> float:
    """How many requests of the full length fit into a cache of `budget` bytes on each GPU."""
    need = request_bytes(facts, started)
    return budget / need if need else 0.0


def cache_width(kv_type: str | None, model_bytes: float) -> float:
    """Bytes of one cached element for `--kv-cache-dtype`; "auto" is the model's own."""
    if kv_type in (None, "auto"):
        return model_bytes
    return element_bytes(str(kv_type)) or model_bytes
