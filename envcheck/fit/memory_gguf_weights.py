"""Where a GGUF file's bytes go: embedding, output layer, repeating layers, from what a log's header says of the file.

A log prints the number of tensors per type and the total size, not the tensor table. Which type the embedding and the
output layer have follows from `llama_tensor_get_type` (llama.cpp `src/llama-quant.cpp`): the output layer is Q6_K, Q8_0
or Q5_K depending on the file type; the embedding has the file's base type except in the smallest quantizations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from envcheck.fit.memory_hparams import Hparams
from envcheck.fit.memory_types import element_bytes
from envcheck.schema.facts import Record


class GgufWeights(Record, gc=False):
    """Bytes of one file by place."""

    total: float
    embedding: float
    """What the input is looked up in: it stays in host memory."""
    output: float
    """The output layer as the device that computes it holds it: a copy of the token embedding where it is tied."""
    tied: bool
    layers: tuple[float, ...]
    """Bytes of each repeating layer."""
    exact: bool = False
    experts: tuple[float, ...] = ()
    """Bytes of each layer's routed experts, where the tensor table is known; part of `layers`."""

    @property
    def all_layers(self) -> float:
        """Bytes of all repeating layers."""
        return sum(self.layers)


_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"([\d.]+)\s*(KiB|MiB|GiB|TiB)(?:\s*\(([\d.]+)\s*BPW\))?")
_COUNT = re.compile(r"([\d.]+)\s*([KMBT])")
_SCALE = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def printed_bytes(size: str | None, parameters: str | None) -> float | None:
    """Bytes from "4.58 GiB (4.89 BPW)" and "8.03 B": the middle of what both roundings allow; None without a size."""
    found = _SIZE.search(size or "")
    if not found:
        return None
    unit = _UNITS[found[2]]
    low, high = _rounding(found[1], unit)
    count = _COUNT.search(parameters or "")
    if found[3] and count:
        few, many = _rounding(count[1], _SCALE[count[2]])
        light, heavy = _rounding(found[3], 1 / 8)
        narrow_low, narrow_high = max(low, few * light), min(high, many * heavy)
        if narrow_low <= narrow_high:
            low, high = narrow_low, narrow_high
    return (low + high) / 2


def _rounding(text: str, unit: float) -> tuple[float, float]:
    half = 0.5 * 10 ** -len(text.partition(".")[2])
    return (float(text) - half) * unit, (float(text) + half) * unit


def is_tied(hparams: Hparams, tensor_types: Mapping[str, int] | None) -> bool:
    """Whether there is no output.weight: what the architecture says, else the count of matrices modulo the layers."""
    if hparams.tied is not None:
        return hparams.tied
    matrices = sum(n for kind, n in (tensor_types or {}).items() if kind != "f32")
    return matrices > 0 and matrices % hparams.layer_count == 1


def embedding_type(quant: str | None, types: Mapping[str, int], tied: bool) -> str:
    """ggml type of token_embd: the output layer's when tied, else the file's base type."""
    name = (quant or "").upper()
    if tied:
        return output_type(quant, types)
    if re.match(r"IQ[12]_(XXS|XS|S|M)\b", name):
        wanted = "q2_k" if re.match(r"IQ2_XX?S|IQ1", name) else "iq3_s"
        if wanted in _lower(types):
            return wanted
    if name.startswith("IQ3_XXS") and "iq3_s" in _lower(types):
        return "iq3_s"
    return _base_type(name, types)


def output_type(quant: str | None, types: Mapping[str, int]) -> str:
    """ggml type of the output layer: Q6_K unless the file is all 8 or 16 bit, or the smallest ones' Q5_K."""
    present = _lower(types)
    base = _base_type((quant or "").upper(), types)
    if base in ("f32", "f16", "bf16", "q8_0"):
        return base
    if re.match(r"IQ[12]|IQ3_XXS", (quant or "").upper()) and "q5_k" in present:
        return "q5_k"
    for candidate in ("q6_k", "q8_0", "iq6_k"):
        if candidate in present:
            return candidate
    return base


def _lower(types: Mapping[str, int]) -> dict[str, int]:
    return {kind.lower(): n for kind, n in types.items()}


def _base_type(quant: str, types: Mapping[str, int]) -> str:
    """The type a file is named after ("Q4_K - Medium" → q4_K), if it is in the file, else its most frequent one."""
    present = {kind: n for kind, n in _lower(types).items() if kind != "f32"} or {"f16": 1}
    named = re.match(r"(MOSTLY_)?([A-Z0-9]+(?:_[A-Z0-9]+)*)", quant)
    name = named[2].lower() if named else ""
    for candidate in (name, name.rpartition("_")[0]):
        if candidate in present:
            return candidate
    return max(present, key=lambda kind: present[kind])


def split(
    hparams: Hparams,
    quant: str | None,
    tensor_types: Mapping[str, int] | None,
    size: str | None,
    parameters: str | None,
    per_layer_table: int = 0,
) -> GgufWeights | None:
    """Divide the file's bytes over embedding, output and layers; None when the log gives no size.

    `per_layer_table`: elements of the embeddings that every layer has of its own.
    """
    total = printed_bytes(size, parameters)
    if total is None:
        return None
    types = tensor_types or {}
    tied = is_tied(hparams, types)
    matrix = hparams.vocab * hparams.embd
    per_element = element_bytes(embedding_type(quant, types, tied)) or 2.0
    embedding = matrix * per_element
    output = embedding if tied else matrix * (element_bytes(output_type(quant, types)) or 2.0)
    if hparams.encoder:
        output = 0.0
    separate = 0.0 if tied else output
    embedding += per_layer_table * per_element
    rest = max(total - embedding - separate, 0.0)
    return GgufWeights(total=total, embedding=embedding, output=output, tied=tied, layers=_share(hparams, quant, rest))


def _share(hparams: Hparams, quant: str | None, total: float) -> tuple[float, ...]:
    """Give each layer its part: by attention and feed-forward width, and heavier where k-quants spend more bits."""
    weights = [_layer_parameters(hparams, i) * _density(hparams, quant, i) for i in range(hparams.layer_count)]
    whole = sum(weights)
    loaded = hparams.layer_count - hparams.drafting_layers
    if whole <= 0:
        return (total / hparams.layer_count,) * loaded + (0.0,) * hparams.drafting_layers
    return tuple(total * weight / whole if i < loaded else 0.0 for i, weight in enumerate(weights))


def _layer_parameters(hparams: Hparams, index: int) -> float:
    block = hparams.blocks[index]
    key_dim = block.k_width and block.heads and hparams.embd // max(block.heads, 1)
    attention = hparams.embd * (block.k_width + block.v_width + 2 * block.heads * (key_dim or 0))
    if hparams.experts and hparams.ff_expert and not _leads(hparams, index):
        return attention + 3.0 * hparams.embd * hparams.ff_expert * hparams.experts
    if hparams.experts and not hparams.ff_expert:
        return attention + 3.0 * hparams.embd * block.ff * hparams.experts
    return attention + 3.0 * hparams.embd * block.ff


def _leads(hparams: Hparams, index: int) -> bool:
    """Whether a layer is one of the leading dense ones of a mixture of experts (DeepSeek: the first or three)."""
    return hparams.kv_rank > 0 and index < (3 if hparams.layer_count > 40 else 1)


def _density(hparams: Hparams, quant: str | None, index: int) -> float:
    """How many bits a layer spends against the base type (`use_more_bits`: first and last eighth, and every third)."""
    name = (quant or "").upper()
    heavier = 1.14 if name.startswith("Q4_K - MEDIUM") else 1.06 if name.startswith("Q5_K - MEDIUM") else 1.0
    count = hparams.layer_count
    more = index < count // 8 or index >= 7 * count // 8 or (index - count // 8) % 3 == 2
    return heavier if more else 1.0
