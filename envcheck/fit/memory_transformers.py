"""Peak of what PyTorch allocates when Transformers generates text, term by term.

Source: huggingface/transformers `generation/utils.py` (logits of the last token only since 4.45), `cache_utils.py`
(DynamicCache keeps every token of every layer; windowed layers keep their window since 4.56) and the decoder modules
(`modeling_qwen2.py` and its relatives: gate, up and their product beside residual and normalised input).

The published start-ups of 4.51 and later were measured with the prompt's own activations left out of the peak; the
older ones with them. Both are modelled, because a machine must hold the activations either way.
"""

from __future__ import annotations

from envcheck.fit.memory_shape import shape_of
from envcheck.schema.facts import Record
from envcheck.schema.model import ModelFacts

LAST_LOGITS_ONLY = (4, 45)
"""First version whose `generate` asks for the logits of the last prompt token only."""
WINDOWED_CACHE = (4, 56)
"""First version whose default cache keeps only the window of sliding-window layers."""
WITHOUT_PREFILL_PEAK = (4, 51)
"""First version of published measurements whose peak has no prompt activations in it."""

ROTARY_TABLES = (4, 43)
"""Before this version every layer held its own sines and cosines of all positions."""

REST = 35 * 2**20
"""Rotary tables, masks, sampling and the allocator's rounding: 35 MiB on every published start-up."""
WIDE = 3.0
"""Feed-forward widths alive at once: gate, up and their product."""
HIDDEN = 4.5
"""Hidden widths alive at once: residual, normalised input, attention output and parts of them."""


class Generation(Record, gc=False):
    """One call of `generate`."""

    prompt: int
    """Tokens of one prompt."""
    generated: int
    batch: int = 1
    version: tuple[int, ...] = ()
    """Release of Transformers as numbers; empty: unknown, taken for the newest."""
    element: float = 2
    """Bytes of an activation and of a cached element."""
    flash_attention: bool = True
    prompt_activations: bool = True
    """Whether the peak includes the prompt's activations."""


class TransformersMemory(Record):
    """Bytes over all GPUs."""

    weights: float
    cache: float
    state: float
    activations: float
    rest: float
    """Rotary tables, masks, sampling and scratch space of quantized kernels."""

    @property
    def total(self) -> float:
        """The peak that `torch.cuda.max_memory_allocated` reports."""
        return self.weights + self.cache + self.state + self.activations + self.rest


def cache_bytes(facts: ModelFacts, call: Generation) -> float:
    """Bytes of keys and values at the end of the call."""
    return _cached(facts, call, call.prompt + call.generated)


def _cached(facts: ModelFacts, call: Generation, tokens: int) -> float:
    windows = not call.version or call.version >= WINDOWED_CACHE
    return shape_of(facts).cached(tokens, windows) * call.element * call.batch


def state_bytes(facts: ModelFacts, call: Generation) -> float:
    """Bytes of recurrent state: the convolution's in the model's type, the rest in f32."""
    shape = shape_of(facts)
    return float((shape.conv_state * call.element + shape.state * 4) * call.batch)


def activation_bytes(facts: ModelFacts, call: Generation) -> float:
    """The widest moment of the prompt's pass: a feed-forward block, attention scores, or the logits."""
    tokens = call.prompt * call.batch
    shape = shape_of(facts)
    widest = tokens * call.element * (WIDE * shape.inner + HIDDEN * facts.hidden)
    if not call.flash_attention:
        # Scores and their softmax in f32 (`eager`), of every head over the whole prompt.
        scores = call.batch * shape.heads * call.prompt**2 * (call.element + 4)
        widest = max(widest, scores + tokens * 3 * facts.hidden * call.element)
    if call.version and call.version < LAST_LOGITS_ONLY:
        # Logits of every prompt token, and their copy in f32.
        widest = max(widest, tokens * facts.vocab * (call.element + 4))
    return widest


def rotary_bytes(facts: ModelFacts, call: Generation) -> float:
    """Tables of rotary angles, once per layer in old versions; today's single one is part of the constant rest."""
    if not call.version or call.version >= ROTARY_TABLES or facts.attention is None:
        return 0.0
    return facts.layer_count * facts.max_context * facts.attention.key_dim * 2 * call.element


def memory(facts: ModelFacts, weights: float, call: Generation, scratch: float = 0.0) -> TransformersMemory:
    """What a call needs with `weights` bytes of parameters loaded and `scratch` bytes for its kernels.

    The prompt's activations are gone before the answer's keys and values are there: only what they need beyond those
    counts.
    """
    cache = cache_bytes(facts, call)
    later = cache - _cached(facts, call, call.prompt)
    activations = activation_bytes(facts, call) if call.prompt_activations else 0.0
    return TransformersMemory(
        weights=weights,
        cache=cache,
        state=state_bytes(facts, call),
        activations=max(activations - later, 0.0),
        rest=REST + rotary_bytes(facts, call) + scratch,
    )
