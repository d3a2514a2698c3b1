"""Peak of what PyTorch allocates when AutoAWQ's own loader and benchmark run a 4-bit model.

Its fused layers differ from Transformers' in three ways. The cache is laid out ahead, for every token that will be
generated. Attention is written out: scores, their sum with the mask, and a softmax in f32, for all heads at once. And
the largest moment of a short run is the load: queries, keys and values of every layer are joined into one matrix while
the separate ones are still held, and a layer's experts are stacked while their first copies are.

Source: https://github.com/casper-hansen/AutoAWQ releases 0.1.4 to 0.2.0, `awq/modules/fused/attn.py`
(`QuantAttentionFused.forward`, `WindowedCache`), `awq/modules/fused/mlp.py`, `awq/modules/linear.py`
(`split_k_iters` of 8), `awq/models/llama.py` (`_fuse_qkv`), `awq/models/mixtral.py` (`MixtralFuser`),
`examples/benchmark.py` (`max_memory_allocated`, summed over devices). Checked 2026-11-21.
"""

from __future__ import annotations

from envcheck.fit.checkpoints import tensor_bytes
from envcheck.fit.memory_shape import shape_of
from envcheck.fit.memory_transformers import Generation
from envcheck.fit.tensors import FUSED_QKV, stack
from envcheck.schema.model import ModelFacts

SPLIT_K = 8
"""Partial sums the 4-bit product keeps for every output before it adds them up."""
SCORES = 5
"""Copies of a layer's scores alive at once, in 16-bit units: themselves, their f32 copy, and the f32 softmax."""
LOGITS = 6
"""Bytes of a logit: 16 bit, and the f32 copy of it."""


def peak_bytes(facts: ModelFacts, stored: float, call: Generation, gpus: int) -> float:
    """The peak over all GPUs with `stored` bytes of weights: the load's, or that of the prompt's pass."""
    cache = shape_of(facts).cached(max(call.generated, 1), False) * 2.0 * call.batch
    return stored + cache + max(joined_bytes(facts, gpus), gpus * prompt_bytes(facts, call))


def joined_bytes(facts: ModelFacts, gpus: int) -> float:
    """Copies made while layers are fused."""
    _, kinds, layers, _ = stack(facts)
    if facts.experts:
        # Gate and up of every expert joined, then all experts stacked, layer by layer on each GPU.
        layer = kinds[layers[-1]]
        size = {t.name.split(".")[2]: tensor_bytes(t, "awq") for t in layer if "_exps." in t.name}
        joined = size.get("ffn_gate_exps", 0) + size.get("ffn_up_exps", 0)
        return float(gpus * (2 * joined + size.get("ffn_down_exps", 0)))
    if facts.architecture in FUSED_QKV:
        return 0.0
    names = (".attn_q.", ".attn_k.", ".attn_v.")
    made = [sum(tensor_bytes(t, "awq") for t in kind if any(name in t.name for name in names)) for kind in kinds]
    return float(sum(made[kind] for kind in layers))


def prompt_bytes(facts: ModelFacts, call: Generation) -> float:
    """The widest moment of the prompt's pass on one GPU: a layer's scores, a 4-bit product, or the logits."""
    attention, tokens = facts.attention, call.prompt * call.batch
    if attention is None:
        return 0.0
    query, keys = attention.heads * attention.key_dim, attention.kv_heads * attention.key_dim
    beside = tokens * 2.0 * (2 * facts.hidden + (query + 2 * keys) + query + 2 * keys)
    repeated = tokens * 2.0 * 2 * query if attention.kv_heads < attention.heads else 0.0
    scores = SCORES * 2.0 * call.batch * attention.heads * call.prompt**2 + beside + repeated
    product = tokens * 2.0 * (2 * facts.hidden + (SPLIT_K + 1) * shape_of(facts).inner)
    return max(scores, product, float(tokens * facts.vocab * LOGITS))
