"""Bytes of keys, values and recurrent state that llama.cpp allocates for each layer.

Source: ggml-org/llama.cpp `src/llama-kv-cache.cpp` (one row of keys and of values per cell and layer),
`src/llama-kv-cache-iswa.cpp` (cells of windowed layers), `src/llama-memory-recurrent.cpp` (one state per sequence,
f32), and ikawrakow/ik_llama.cpp `llama_kv_cache_init` for MLA.
"""

from __future__ import annotations

from functools import cache, lru_cache

from envcheck.fit.memory_hparams import Block, Hparams
from envcheck.fit.memory_llama_settings import LlamaSettings
from envcheck.fit.memory_types import element_bytes
from envcheck.schema.facts import Record

STATE_BYTES = 4
"""Recurrent state is f32 (`type_r`, `type_s` in `llama_memory_recurrent`)."""


def pad(cells: int, step: int = 256) -> int:
    """Round up to what attention kernels want."""
    return -(-cells // step) * step


def window_cells(hparams: Hparams, settings: LlamaSettings) -> int:
    """Cells of a windowed layer's cache in one stream: every sequence's window, and one ubatch being written."""
    sequences = settings.sequences if settings.unified else 1
    wanted = hparams.window * sequences + settings.ubatch
    return pad(min(settings.context_per_stream, wanted))


def cache_bytes(hparams: Hparams, settings: LlamaSettings) -> tuple[float, ...]:
    """Key-value bytes of each layer, all streams together.

    Raises KeyError for a cache type this build of envcheck does not know.
    """
    if hparams.encoder and not settings.encoder_cache:
        return (0.0,) * hparams.layer_count
    return tuple(_layer_bytes(block, hparams, settings) for block in hparams.blocks)


def _layer_bytes(block: Block, hparams: Hparams, settings: LlamaSettings) -> float:
    if not block.k_width and not block.v_width:
        return 0.0
    full = settings.context_per_stream
    windowed = block.windowed and hparams.window > 0 and not settings.full_window_cache
    cells = settings.streams * (window_cells(hparams, settings) if windowed else full)
    key, value = _bytes(settings.type_k), _bytes(settings.type_v)
    if hparams.kv_rank and settings.fork and settings.mla:
        return cells * _latent_row(hparams, settings, key, value)
    if hparams.kv_rank and settings.latent_cache and not settings.fork and block.heads and is_latent_file(block):
        return cells * (hparams.kv_rank + hparams.rope_dim) * key
    return cells * (block.k_width * key + block.v_width * value)


def is_latent_file(block: Block) -> bool:
    """Whether the file was converted for the compressed cache: it then counts one key head."""
    return block.k_width < block.heads * 64


def _latent_row(hparams: Hparams, settings: LlamaSettings, key: float, value: float) -> float:
    row = hparams.kv_rank + hparams.rope_dim
    if settings.flash_attention:
        return row * key
    if settings.mla == 1:
        return row * key + hparams.kv_rank * value
    return row * value


def row_bytes(widths: tuple[int, int], settings: LlamaSettings) -> float:
    """Bytes of one cell of a layer with these key and value widths."""
    return widths[0] * _bytes(settings.type_k) + widths[1] * _bytes(settings.type_v)


@cache
def _bytes(kind: str) -> float:
    size = element_bytes(kind)
    if size is None:
        raise KeyError(kind)
    return size


def state_bytes(hparams: Hparams, settings: LlamaSettings) -> tuple[float, ...]:
    """Recurrent state of each layer, all sequences together; it does not depend on the context."""
    one = (hparams.state + hparams.conv_state) * STATE_BYTES * max(settings.sequences, 1)
    return tuple(float(one) if block.recurrent else 0.0 for block in hparams.blocks)


class Totals(Record, gc=False):
    """Sums over some of the layers: their caches without walking them each time."""

    full: float
    """Bytes per cell of keys and values of layers that attend to everything."""
    windowed: float
    latent: float
    """Bytes per cell of compressed keys and values, where the file keeps them so."""
    window: int
    state: int
    """Elements of recurrent state of one sequence."""
    encoder: bool


@lru_cache(maxsize=512)
def tails(hparams: Hparams, type_k: str, type_v: str) -> tuple[Totals, ...]:
    """Sums over the last n layers, for n from none to all, with keys and values of these types."""
    key, value = _bytes(type_k), _bytes(type_v)
    full = windowed = latent = 0.0
    state = 0
    found = []
    for block in (None, *reversed(hparams.blocks)):
        if block is not None:
            cell = block.k_width * key + block.v_width * value
            if block.windowed and hparams.window:
                windowed += cell
            else:
                full += cell
            state += (hparams.state + hparams.conv_state) * block.recurrent
            if hparams.kv_rank and block.heads and block.k_width:
                latent += (hparams.kv_rank + hparams.rope_dim) * key
        found.append(
            Totals(
                full=full,
                windowed=windowed,
                latent=latent,
                window=hparams.window,
                state=state,
                encoder=hparams.encoder,
            )
        )
    return tuple(found)


def total_cache_bytes(sums: Totals, settings: LlamaSettings) -> float:
    """Key-value bytes of the layers summed up; what `cache_bytes` gives for a file of today's layout."""
    if sums.encoder and not settings.encoder_cache:
        return 0.0
    full = settings.context_per_stream
    if sums.latent and settings.latent_cache:
        return settings.streams * full * sums.latent
    wide = full * sums.full
    if not sums.windowed:
        return settings.streams * wide
    sequences = settings.sequences if settings.unified else 1
    short = pad(min(full, sums.window * sequences + settings.ubatch))
    if settings.full_window_cache:
        short = full
    return settings.streams * (wide + short * sums.windowed)


def total_state_bytes(sums: Totals, settings: LlamaSettings) -> float:
    """Recurrent state of the layers summed up."""
    return float(sums.state * STATE_BYTES * (settings.sequences or 1))
