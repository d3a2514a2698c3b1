"""The shape of a model as llama.cpp's memory depends on it, from a log's header lines or from `ModelFacts`.

Names follow llama.cpp (`src/llama-hparams.h`); widths are elements. What a header does not say and each loader knows
by itself is in `requirements_matrix/gguf_architectures.toml`.
"""

from __future__ import annotations

import json
import tomllib
from functools import cache, lru_cache
from typing import Any

from envcheck.resources import folder
from envcheck.schema.facts import Record
from envcheck.schema.model import Attention, LatentAttention, Layer, ModelFacts


class Block(Record, gc=False):
    """One layer: what it caches and how wide its feed-forward block is."""

    heads: int = 0
    k_width: int = 0
    """Elements of keys for one token (`n_embd_k_gqa`); 0: no cache."""
    v_width: int = 0
    ff: int = 0
    windowed: bool = False
    recurrent: bool = False


class Hparams(Record, cache_hash=True, gc=False):
    """One model's shape."""

    arch: str
    blocks: tuple[Block, ...]
    embd: int
    vocab: int
    heads: int
    """Largest number of query heads of any layer."""
    window: int = 0
    experts: int = 0
    experts_used: int = 0
    ff_expert: int = 0
    state: int = 0
    """Elements of recurrent state per layer and sequence, without the convolution's (`n_embd_s`)."""
    conv_state: int = 0
    """Elements of convolution state per recurrent layer and sequence (`n_embd_r`)."""
    kv_rank: int = 0
    """Width of MLA's compressed vector; 0: no MLA."""
    rope_dim: int = 0
    tied: bool | None = None
    """Whether the embedding matrix is the output layer as well; None: not said."""
    encoder: bool = False
    context_trained: int = 0

    drafting_layers: int = 0
    """Layers at the end that are in the file and not loaded."""
    ff_max: int = 0
    """Widest feed-forward block that one token passes through at once."""
    caches: bool = True
    """Whether any layer caches keys and values."""
    widest_cache: tuple[int, int] = (0, 0)
    """Key and value widths of the layer that caches most per token."""

    @property
    def layer_count(self) -> int:
        """Repeating layers."""
        return len(self.blocks)


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads((folder("requirements_matrix") / "gguf_architectures.toml").read_text(encoding="utf-8"))


@cache
def architectures() -> dict[str, dict[str, Any]]:
    """The per-architecture table of `requirements_matrix/gguf_architectures.toml`."""
    table: dict[str, dict[str, Any]] = _tables()["architectures"]
    return table


@cache
def absent(backend: str) -> frozenset[str]:
    """Model types that a backend of GGUF files cannot run, whatever the file."""
    table = _tables()["absent"]
    return frozenset(table["model_types"]) - frozenset(table["ollama_has"] if backend == "ollama" else ())


def per_layer(value: object, count: int) -> tuple[int, ...]:
    """A header value that is one number for all layers, or a list printed as text ("[0, 8, …]")."""
    if isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, list):
        return tuple(int(v) for v in value[:count]) + (0,) * (count - len(value))
    return (int(value) if isinstance(value, int | float) else 0,) * count


def from_header(header: dict[str, Any]) -> Hparams | None:
    """The shape a llama.cpp log printed (`print_info`, `llm_load_print_meta`); None when its essentials are missing."""
    count, embd, vocab = header.get("n_layer"), header.get("n_embd"), header.get("n_vocab")
    if not count or not embd or not vocab:
        return None
    known = architectures().get(str(header.get("arch")), {})
    heads = per_layer(header.get("n_head"), count)
    blocks = _blocks(header, known, heads)
    return Hparams(
        arch=str(header.get("arch")),
        blocks=blocks,
        ff_max=max(block.ff for block in blocks),
        caches=any(block.k_width for block in blocks),
        widest_cache=_widest_cache(blocks),
        embd=embd,
        vocab=vocab,
        heads=max(heads),
        window=known.get("window") or header.get("n_swa") or 0,
        experts=header.get("n_expert") or 0,
        experts_used=header.get("n_expert_used") or 0,
        ff_expert=header.get("n_ff_exp") or 0,
        state=_state(header),
        conv_state=_conv_state(header, known),
        kv_rank=(header.get("n_lora_kv") or 0) if known.get("latent") else 0,
        rope_dim=header.get("n_rot") or 0,
        tied=known.get("tied"),
        encoder=bool(known.get("encoder")),
        context_trained=header.get("n_ctx_train") or 0,
        drafting_layers=known.get("drafting_layers", 0),
    )


def _widest_cache(blocks: tuple[Block, ...]) -> tuple[int, int]:
    full = [(block.k_width, block.v_width) for block in blocks if not block.windowed]
    return max(full or [(block.k_width, block.v_width) for block in blocks], key=sum, default=(0, 0))


def _blocks(header: dict[str, Any], known: dict[str, Any], heads: tuple[int, ...]) -> tuple[Block, ...]:
    count = len(heads)
    kv_heads = per_layer(header.get("n_head_kv"), count)
    keys = _widths(header, "k", kv_heads)
    values = _widths(header, "v", kv_heads)
    ff = per_layer(header.get("n_ff"), count)
    own = (known.get("own_kv_layers") or {}).get(str(count), count) - known.get("drafting_layers", 0)
    blocks = []
    for i in range(count):
        recurrent = _is_recurrent(known, i, kv_heads[i], ff[i])
        cached = i < own and known.get("recurrent") != "all" and (not recurrent or known.get("recurrent") == "parallel")
        blocks.append(
            Block(
                heads=heads[i],
                k_width=keys[i] if cached else 0,
                v_width=values[i] if cached else 0,
                ff=ff[i],
                windowed=is_windowed(known, i, keys),
                recurrent=recurrent,
            )
        )
    return tuple(blocks)


def _widths(header: dict[str, Any], which: str, kv_heads: tuple[int, ...]) -> tuple[int, ...]:
    printed = header.get(f"n_embd_{which}_gqa")
    if printed is not None:
        return per_layer(printed, len(kv_heads))
    head = header.get(f"n_embd_head_{which}") or 0
    return tuple(head * n for n in kv_heads)


def _is_recurrent(known: dict[str, Any], index: int, kv_heads: int, ff: int) -> bool:
    kind = known.get("recurrent")
    if kind in ("all", "parallel"):
        return True
    if kind == "zero_kv":
        return kv_heads == 0
    if kind == "zero_kv_no_ff":
        return kv_heads == 0 and ff == 0
    interval = int(known.get("full_interval") or 1)
    return (index + 1) % interval != 0


def is_windowed(known: dict[str, Any], index: int, key_widths: tuple[int, ...] = ()) -> bool:
    """Whether layer `index` attends to a window (llama.cpp `set_swa_pattern`).

    Where a header prints different key widths per layer (Gemma 4), the wider majority are the windowed ones.
    """
    period = known.get("window_period")
    if not period:
        return False
    if len(set(key_widths)) == 2 and 0 not in key_widths:
        usual = max(set(key_widths), key=key_widths.count)
        return key_widths[index] == usual
    place = index % period
    return bool(place != 0 if known.get("dense_first") else place < period - 1)


def _state(header: dict[str, Any]) -> int:
    head = header.get("wkv_head_size") or (64 if "rwkv" in str(header.get("arch")) else 0)
    if head:
        return int(header["n_embd"] * head)
    return int((header.get("ssm_d_state") or 0) * (header.get("ssm_d_inner") or 0))


def _conv_state(header: dict[str, Any], known: dict[str, Any]) -> int:
    if "rwkv" in str(header.get("arch")):
        # Token shift: two for RWKV 6 and 7, one where the model keeps Qwen's feed-forward block.
        return int(header["n_embd"]) * (1 if header.get("arch") in ("rwkv6qwen2", "arwkv7") else 2)
    if header.get("n_shortconv_l_cache"):
        return int(header["n_embd"] * (header["n_shortconv_l_cache"] - 1))
    if header.get("arch") in ("lfm2", "lfm2moe"):
        return int(header["n_embd"]) * 2  # a convolution over three tokens in every published LFM2
    steps = max((header.get("ssm_d_conv") or 0) - 1, 0)
    groups = header.get("ssm_n_group") or known.get("groups") or 0
    return int(steps * ((header.get("ssm_d_inner") or 0) + 2 * groups * (header.get("ssm_d_state") or 0)))


@lru_cache(maxsize=512)
def from_facts(facts: ModelFacts, arch: str | None = None) -> Hparams:
    """The shape of a catalog model as llama.cpp would load it."""
    blocks = tuple(_block(layer) for layer in facts.layers())
    experts = facts.experts
    recurrent = facts.recurrent
    return Hparams(
        arch=arch or facts.architecture,
        blocks=blocks,
        ff_max=max((block.ff for block in blocks), default=0),
        caches=any(block.k_width for block in blocks),
        widest_cache=_widest_cache(blocks),
        embd=facts.hidden,
        vocab=facts.vocab,
        heads=max((block.heads for block in blocks), default=0),
        window=facts.local.window or 0 if facts.local else 0,
        experts=experts.count if experts else 0,
        experts_used=experts.used if experts else 0,
        ff_expert=experts.ffn if experts else 0,
        state=recurrent.state_elements if recurrent else 0,
        conv_state=recurrent.conv_elements if recurrent else 0,
        kv_rank=facts.latent.kv_rank if facts.latent else 0,
        rope_dim=facts.latent.rope_dim if facts.latent else 0,
        tied=facts.tied,
        encoder=facts.role == "encoder",
        context_trained=facts.max_context,
    )


def _block(layer: Layer) -> Block:
    attention = layer.attention
    keys = values = heads = 0
    windowed = False
    if isinstance(attention, Attention):
        heads, windowed = attention.heads, attention.window is not None
        if layer.caches:
            keys, values = attention.kv_heads * attention.key_dim, attention.kv_heads * attention.value_width
    elif isinstance(attention, LatentAttention):
        heads = attention.heads
        # As files converted since April 2025 describe it: one key head as wide as the compressed vector.
        keys, values = attention.cached_elements, attention.kv_rank
    return Block(
        heads=heads,
        k_width=keys,
        v_width=values,
        ff=max(layer.ffn, layer.experts.ffn * layer.experts.used if layer.experts else 0),
        windowed=windowed,
        recurrent=layer.recurrent is not None,
    )
