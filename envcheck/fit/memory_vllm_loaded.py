"""What vLLM holds on each GPU once a model is loaded: the checkpoint's share, and tables and copies made beside it.

Sources: vllm-project/vllm `model_executor/layers/rotary_embedding/mrope.py` (four times the positions, for videos)
and `linear_scaling_rope.py` (as many times the positions as they are scaled),
`model_executor/models/qwen3_vl.py` (one input buffer per deepstack level), `v1/attention/backends/mla/common.py` and,
for 0.7, `attention/backends/mla/common.py` (projections of MLA multiplied out while loading),
`model_executor/model_loader/bitsandbytes_loader.py` (maxima of nested files widened). Checked 2026-11-21.
"""

from __future__ import annotations

import re

from envcheck.fit.memory_checkpoint import checkpoint_per_gpu, gguf_weights
from envcheck.fit.memory_vllm_cache import Started
from envcheck.fit.model_names import quantization_in
from envcheck.schema.model import LatentAttention, ModelFacts

_EMBEDDING_MODEL = re.compile(r"(?i)embed|(^|[/-])(e5|bge|gte)-|rerank|reward|[-_]p?rm([-_]|$)")
"""Names of models (embeddings, rerankers, reward models) that vLLM loads without an output layer."""
_THREE_AXES = frozenset(
    {"qwen2", "qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen3_vl", "qwen3_vl_moe", "glm4v", "glm4v_moe"}
)
"""Architectures whose positions have a time and two image axes where they have an image encoder."""
_TWO_BASES = frozenset({"gemma3", "gemma3n", "gemma4"})
"""Architectures whose windowed layers turn by another base (`rope_local_base_freq`)."""
LONGER_TABLES = (0, 7, 2)
_DEEPSTACK = frozenset({"qwen3_vl", "qwen3_vl_moe"})
DEEPSTACK_LEVELS = 3
DEEPSTACK_TOKENS = 8192
"""`max_num_batched_tokens` where it is not known."""
MULTIPLIED_OUT, LATER_SPLIT = (0, 7, 1), (0, 8)
"""First release with MLA, which multiplied its projections out, and the first that keeps two small factors instead."""
WIDENED_MAXIMA = (0, 10)


def loaded_bytes(
    name: str, facts: ModelFacts, scheme: str, started: Started, batched: int | None, text_only: bool
) -> float | None:
    """Bytes on the first GPU; None for a scheme whose size is not known."""
    if scheme.startswith("gguf:"):
        file = gguf_weights(facts, scheme.removeprefix("gguf:"))
        return None if file is None else file.total / started.tensor_parallel
    if scheme == "bnb-4bit" and quantization_in(name) == scheme and () < started.version < WIDENED_MAXIMA:
        scheme = "bnb-4bit-nested"
    stored = checkpoint_per_gpu(
        facts,
        scheme,
        started.tensor_parallel,
        started.pipeline_parallel,
        drafting=started.draft_tokens > 0,
        head=not _EMBEDDING_MODEL.search(name),
        tower=not text_only,
        speech=False,
    )
    if stored is None:
        return None
    beside = rotary_bytes(facts, started.version) + multiplied_bytes(facts, scheme, started)
    if started.drafter and facts.drafter:
        beside += facts.drafter.parameters * 2.0 / started.tensor_parallel
    return stored + beside + (0.0 if text_only else _deepstack_bytes(facts, batched))


def rotary_bytes(facts: ModelFacts, version: tuple[int, ...]) -> float:
    """The tables of rotary angles every GPU holds, in 16 bit: one row per position of the model, scaled ones included.

    Layers with a window have a table of their own where their angles have a base of their own.
    """
    width = facts.attention.key_dim if facts.attention else facts.latent.rope_dim if facts.latent else 0
    longer = facts.vision is not None and facts.architecture in _THREE_AXES and not () < version < LONGER_TABLES
    rows = facts.max_context * facts.rope_factor * (4 if longer else 1)
    windowed = facts.local.key_dim if facts.local and facts.architecture in _TWO_BASES else 0
    return float(rows * width + facts.max_context * windowed) * 2


def multiplied_bytes(facts: ModelFacts, scheme: str, started: Started) -> float:
    """Projections of MLA that are folded while loading, beside the checkpoint's own, which prefill goes on using."""
    kind, version = facts.latent, started.version
    if kind is None or () < version < MULTIPLIED_OUT:
        return 0.0
    layers = sum(isinstance(layer.attention, LatentAttention) for layer in facts.layers())
    share = layers / started.tensor_parallel / started.pipeline_parallel
    if () < version < LATER_SPLIT:
        source = kind.q_rank or facts.hidden
        elements = kind.heads * (source * (kind.kv_rank + kind.rope_dim) + kind.kv_rank * facts.hidden)
        return elements * share * (1.0 if scheme.startswith("fp8") else 2.0)
    return kind.heads * kind.kv_rank * (kind.nope_dim + kind.value_dim) * 2.0 * share


def _deepstack_bytes(facts: ModelFacts, batched: int | None) -> float:
    if facts.vision is None or facts.architecture not in _DEEPSTACK:
        return 0.0
    return float(DEEPSTACK_LEVELS * (batched or DEEPSTACK_TOKENS) * facts.hidden * 2)
