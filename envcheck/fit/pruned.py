"""Mixtures of experts that were published again with fewer experts ("GLM-4.6-REAP-218B-A32B").

Pruning by router-weighted expert activation (https://github.com/CerebrasResearch/reap) leaves everything but the number
of experts as it was, so the size in such a name gives that number.
"""

from __future__ import annotations

import msgspec

from envcheck.fit.model_names import NameParts, is_size, size_in_billions
from envcheck.fit.tensors import parameter_count, tensors
from envcheck.schema.model import ModelFacts

WORD = "reap"


def is_pruned(parts: NameParts) -> bool:
    """True when a name says that experts were pruned."""
    return any(token.startswith(WORD) for token in parts.tokens)


def stated_size(parts: NameParts) -> float | None:
    """Billions of parameters the name states, active ones aside; None when it states none."""
    sizes = [size_in_billions(token) for token in parts.tokens if is_size(token)]
    whole = [size for size in sizes if size is not None]
    return whole[0] if len(whole) == 1 else None


def base_words(parts: NameParts) -> frozenset[str]:
    """What is left of the name when sizes and the pruning are taken off: the model that was pruned."""
    return frozenset(t for t in parts.tokens if not is_size(t) and not t.startswith(WORD))


def with_fewer_experts(facts: ModelFacts, billions: float) -> ModelFacts | None:
    """The model with as many experts as bring it to `billions` of parameters; None where no such number does."""
    if facts.experts is None:
        return None
    each = sum(t.elements // t.copies for t in tensors(facts) if t.copies == facts.experts.count > 1)
    whole = parameter_count(facts)
    count = round((billions * 1e9 - (whole - each * facts.experts.count)) / each) if each else 0
    if not facts.experts.used <= count < facts.experts.count:
        return None
    experts = msgspec.structs.replace(facts.experts, count=count)
    return msgspec.structs.replace(facts, experts=experts, published_parameters=0)
