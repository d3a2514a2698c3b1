"""What a model that somebody named takes on each GPU: worked out by `envcheck.fit`, weighed by `envcheck.judge`."""

from __future__ import annotations

from envcheck.schema.facts import Record


class ModelNeed(Record):
    """Memory of one model under the options it was to be started with. MiB; None where the catalog does not say."""

    model: str
    """The catalog's name of it."""
    scheme: str
    """The weights' format: "bf16", "awq", "gguf:Q4_K_M"."""
    weights_mib: float
    """Weights on each GPU of a parallel group; of the whole file for GGUF."""
    work_mib: float = 0.0
    """Activations, driver context and communication buffers on each GPU: what the engine's profiling run measures."""
    request_mib: float | None = None
    """KV cache on each GPU of one request as long as the context."""
    context: int = 0
    """Tokens of that request."""
    context_stated: bool = False
    """True where the context was asked for; else it is the one the model was published with."""
    heads: int = 0
    """Attention heads, which tensor parallelism divides; 0: unknown."""
    experts: bool = False
    """True for a mixture of experts."""
    precision: str = ""
    """How the publisher stores the weights: "bfloat16", "float16", "float8" …"""
    latent: bool = False
    """True for multi-head latent attention."""
