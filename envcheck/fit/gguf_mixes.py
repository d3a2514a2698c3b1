"""Which types the mixes of llama-quantize give to the tensors of layers, by name and by place in the file.

Sources as in `envcheck.fit.gguf_types`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

TINY = ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ2_S", "IQ2_M", "IQ1_M")
FINE = ("IQ2_S", "IQ2_M")
_EIGHT_EXPERTS_Q5 = (
    "Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S", "IQ3_M", "IQ4_XS",
)  # fmt: skip
VALUES = ("attn_v.weight", "attn_qkv.weight", "attn_kv_b.weight")
FEED_FORWARD = ("ffn_down", "ffn_gate", "ffn_up")
"""Names of the tensors that the quantizer counts while it walks the file."""


class Mix(NamedTuple):
    """What the rules for layers look at, beside a tensor's name and place; many models share one."""

    file_type: str
    base: str
    """What most tensors get."""
    imatrix: bool
    layers: int
    values: int
    """How many value projections the file has."""
    many_heads: bool
    """Four or more query heads to a key head."""
    experts: int
    falcon: bool
    wide_values: bool
    """Of the 80 layers of Llama's and Qwen2's make, whose values get more bits."""


class Walk:
    """Goes through the layers in file order and keeps the counters llama-quantize keeps."""

    def __init__(self, mix: Mix) -> None:
        self.mix = mix
        self.values = 0
        self.walked = {"down": 0, "gate": 0, "up": 0}

    def in_layer(self, short: str, layer: int) -> str:
        """What a tensor of a layer is to get, if its rows divide into blocks; once per tensor that is counted."""
        if self.mix.file_type in TINY:
            return self._tiny(short)
        if short in VALUES:
            index, self.values = self.values, self.values + 1
            return _value_type(self.mix, index)
        return self._rest(short, layer)

    def _tiny(self, short: str) -> str:
        mix = self.mix
        better = "IQ3_S" if mix.file_type in FINE else "Q2_K"
        if short in VALUES:
            return "Q4_K" if mix.many_heads or mix.experts >= 4 else better
        if short == "attn_k.weight" and mix.experts == 8:
            return "Q4_K"
        if short.startswith("ffn_down"):
            index, self.walked["down"] = self.walked["down"], self.walked["down"] + 1
            return better if index < mix.layers // 8 else mix.base
        if short == "attn_output.weight":
            if mix.experts == 8:
                return "Q5_K"
            return {"IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S"}.get(
                mix.file_type, mix.base
            )
        return mix.base

    def _rest(self, short: str, layer: int) -> str:
        mix, file_type = self.mix, self.mix.file_type
        if short in ("attn_k.weight", "attn_q.weight"):
            if mix.experts == 8 and short == "attn_k.weight":
                return "Q8_0"
            return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(file_type, mix.base)
        if short.startswith("ffn_down"):
            return _down_type(mix, self._index(layer, "down"))
        if short == "attn_output.weight" and not mix.falcon:
            if mix.experts == 8:
                return "Q5_K" if file_type in _EIGHT_EXPERTS_Q5 else mix.base
            mixes = {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
            return mixes.get(file_type, mix.base)
        if short.startswith(("ffn_gate", "ffn_up")) and file_type == "IQ3_XS":
            index = self._index(layer, "gate" if short.startswith("ffn_gate") else "up")
            return "IQ3_XXS" if mix.layers // 8 <= index < 7 * mix.layers // 8 else mix.base
        return mix.base

    def _index(self, layer: int, which: str) -> int:
        """Position among its kind: counted in dense models, the layer in mixtures of experts."""
        counted = self.walked[which]
        self.walked[which] = counted + 1
        return layer if self.mix.experts > 1 else counted


@lru_cache(maxsize=1024)
def types_by_layer(
    mix: Mix, names: tuple[tuple[str, ...], ...], layers: tuple[int, ...]
) -> tuple[tuple[str, ...], ...]:
    """Per layer what tensors of these names get; `names` by kind of layer, `layers` the kind of each.

    Kept, as many models have as many layers.
    """
    walk = Walk(mix)
    return tuple(tuple(walk.in_layer(name, layer) for name in names[kind]) for layer, kind in enumerate(layers))


def _more_bits(index: int, count: int) -> bool:
    """The layers k-quant mixes spend more on: the first and last eighth and every third between."""
    return index < count // 8 or index >= 7 * count // 8 or (index - count // 8) % 3 == 2


def _value_type(mix: Mix, index: int) -> str:
    """What the `index`-th value projection of the file gets."""
    kind, file_type, many = mix.base, mix.file_type, mix.many_heads
    if file_type == "Q2_K":
        kind = "Q4_K" if many else "Q3_K"
    elif file_type == "IQ3_XXS":
        kind = "Q4_K" if many else ("IQ3_XXS" if mix.imatrix else "IQ3_S")
    elif (file_type in ("Q2_K_S", "IQ3_XS", "IQ3_S") and many) or file_type == "IQ3_M":
        kind = "Q4_K"
    elif file_type == "Q3_K_M":
        kind = "Q5_K" if index < 2 else "Q4_K"
    elif file_type == "Q3_K_L" or (file_type in ("IQ4_NL", "IQ4_XS") and many) or (file_type == "Q4_K_S" and index < 4):
        kind = "Q5_K"
    elif file_type in ("Q4_K_M", "Q5_K_M") and _more_bits(index, mix.values):
        kind = "Q6_K"
    if mix.wide_values and kind in ("Q3_K", "Q4_K") and many:
        kind = "Q5_K"
    return "Q8_0" if mix.experts == 8 else kind


def _down_type(mix: Mix, index: int) -> str:
    """What the `index`-th down projection gets."""
    file_type, layers, falcon = mix.file_type, mix.layers, mix.falcon
    early, more = index < layers // 8, _more_bits(index, layers)
    if file_type == "Q3_K_M":
        if index < layers // 16:
            return "Q5_K"
        return "Q4_K" if not falcon or more else "Q3_K"
    if file_type == "Q4_K_M" and falcon:
        return "Q6_K" if index < layers // 16 else "Q5_K" if more else "Q4_K"
    if file_type in ("Q4_K_M", "Q5_K_M"):
        return "Q6_K" if more else mix.base
    if file_type == "IQ3_M":
        return "Q4_K" if early or (mix.experts == 8 and more) else mix.base
    if file_type in ("Q4_0", "Q5_0") and mix.imatrix and early:
        return file_type[:3] + "1"
    if file_type == "IQ3_XXS" and not mix.imatrix:
        return "Q4_K" if early else "Q3_K"
    if early and (file_type in ("IQ4_NL", "IQ4_XS") and not mix.imatrix):
        return "Q5_K"
    if early and not falcon and file_type == "Q4_K_S":
        return "Q5_K"
    if early and file_type == "Q2_K_S":
        return "Q4_K"
    return {"Q2_K": "Q3_K", "Q3_K_L": "Q4_K" if falcon else "Q5_K"}.get(file_type, mix.base)
