"""A model's layers summed up once: what a token costs in caches and activations, without walking the layers again."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from envcheck.schema.facts import Record
from envcheck.schema.model import Attention, LatentAttention, ModelFacts


class Shape(Record, gc=False):
    """Sums over the layers of one model; elements, not bytes."""

    full: int
    """Cached for one token by all layers that attend to everything (MLA as Transformers caches it: expanded)."""
    windowed: tuple[tuple[int, int], ...]
    """(window, elements for one token) of the layers that attend to a window, summed by window."""
    inner: int
    """Inner width of the widest feed-forward block one token passes through, all experts it uses together."""
    conv_state: int
    """Convolution state of one sequence, all layers."""
    state: int
    """Recurrent state proper of one sequence, all layers."""
    heads: int

    def cached(self, tokens: int, windows: bool) -> int:
        """Elements cached for one sequence of `tokens`; `windows` tells whether windowed layers drop what is past."""
        total = self.full * tokens
        for window, elements in self.windowed:
            total += elements * (min(tokens, window) if windows else tokens)
        return total


@lru_cache(maxsize=1024)
def shape_of(facts: ModelFacts) -> Shape:
    """Sum up a model's layers."""
    full, recurrent, widest = 0, 0, 0
    windowed: Counter[int] = Counter()
    for layer in facts.layers():
        attention = layer.attention
        if isinstance(attention, LatentAttention):
            full += attention.expanded_elements
        elif isinstance(attention, Attention) and layer.caches:
            if attention.window:
                windowed[attention.window] += attention.cached_elements
            else:
                full += attention.cached_elements
        recurrent += layer.recurrent is not None
        widest = max(widest, layer.ffn)
    if facts.experts:
        widest = max(widest, facts.experts.ffn * facts.experts.used + facts.experts.shared_ffn)
    return Shape(
        full=full,
        windowed=tuple(sorted(windowed.items())),
        inner=widest,
        conv_state=recurrent * facts.recurrent.conv_elements if facts.recurrent else 0,
        state=recurrent * facts.recurrent.state_elements if facts.recurrent else 0,
        heads=facts.attention.heads if facts.attention else facts.latent.heads if facts.latent else 0,
    )
