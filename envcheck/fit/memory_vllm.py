"""vLLM's memory on each GPU: what it must have to start, and what it takes.

kv budget = utilization x total - weights - non-torch - peak of activations (- CUDA graphs since 0.21): holds to the
last printed digit on public logs. Two figures follow: the least that lets it start (weights, activations, non-torch,
graphs and the cache of the requests asked for), and what it reserves: utilization x total, however small the model.

Source: vllm-project/vllm `vllm/v1/worker/gpu_worker.py` (`determine_available_memory`) and `gpu_model_runner.py`
(`profile_run`, `_dummy_sampler_run`).
"""

from __future__ import annotations

from envcheck.fit.memory_shape import shape_of
from envcheck.schema.facts import Record
from envcheck.schema.model import ModelFacts

DEFAULT_UTILIZATION = 0.9
DEFAULT_SEQUENCES = 256
DEFAULT_BATCHED_TOKENS = 2048
"""`max_num_batched_tokens` of a server on cards below 70 GiB (`EngineArgs.get_batch_defaults`)."""
LARGE_CARD_BATCHED_TOKENS = 8192
LARGE_CARD_SEQUENCES = 1024
LARGE_CARD_MIB = 70 * 1024

GRAPHS_MIB = 600.0
"""CUDA graphs: 0.5 GiB in the median of 56 start-ups, up to 5 GiB."""
NON_TORCH_MIB = 350.0
"""Driver context and libraries on one GPU: 0.01 to 0.6 GiB on public logs."""
COMMUNICATION_MIB = 1100.0
"""NCCL and custom all-reduce buffers on each GPU of a tensor-parallel group: 1.8 GiB more from one to two 80 GB GPUs in
one set of logs, 0.1 GiB on eight T4 in another; taken between them."""


class VllmShape(Record, gc=False):
    """How a server is started, as far as activations depend on it."""

    tensor_parallel: int = 1
    batched_tokens: int = DEFAULT_BATCHED_TOKENS
    sequences: int = DEFAULT_SEQUENCES
    element: float = 2


def defaults(card_mib: float, tensor_parallel: int) -> VllmShape:
    """What vLLM 0.10 and later choose on a card of this size."""
    large = card_mib >= LARGE_CARD_MIB
    return VllmShape(
        tensor_parallel=tensor_parallel,
        batched_tokens=LARGE_CARD_BATCHED_TOKENS if large else DEFAULT_BATCHED_TOKENS,
        sequences=LARGE_CARD_SEQUENCES if large else DEFAULT_SEQUENCES,
    )


def activation_bytes(facts: ModelFacts, shape: VllmShape) -> float:
    """Peak of the profiling run on one GPU: a feed-forward block over a full batch, and the sampler's logits.

    Gate, up and product beside four hidden states (fused experts keep theirs for every token and expert used); logits
    of every sequence in f32 with their sorted copy and probabilities. Within a fifth on the seven public logs that
    print the peak and a batch size.
    """
    feed = shape.batched_tokens * shape.element * (3 * shape_of(facts).inner / shape.tensor_parallel + 4 * facts.hidden)
    sampler = shape.sequences * facts.vocab * 12
    return feed + sampler


def overhead_mib(tensor_parallel: int, graphs: bool = True) -> float:
    """Non-torch memory and CUDA graphs on one GPU."""
    communication = COMMUNICATION_MIB if tensor_parallel > 1 else 0.0
    return NON_TORCH_MIB + communication + (GRAPHS_MIB if graphs else 0.0)
