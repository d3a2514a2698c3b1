"""Bytes of the compute buffer: what llama.cpp's graph needs at its widest point, on each GPU.

`ggml_gallocr` reserves the worst graph (one full ubatch against a full cache) and reuses a tensor's place when its
last reader has run, so the buffer is as large as the widest moment. Three moments can be the widest:

* logits: f32 rows of the vocabulary for every token of the ubatch, beside the hidden state they come from;
* attention: without flash attention the f32 scores of every query head over the whole context, the f32 mask and four
  hidden states; with it only the mask, in f16 and, until May 2026, in f32 beside;
* feed-forward: gate, up and their product.

Derived from the graphs in llama.cpp `src/llama-graph.cpp` (`build_attn_mha`, `build_ffn`) and checked on public logs:
one GPU without flash attention is right to 0.0 % in the median.
"""

from __future__ import annotations

from envcheck.fit.memory_gguf_weights import GgufWeights
from envcheck.fit.memory_hparams import Hparams
from envcheck.fit.memory_llama_cache import cache_bytes, row_bytes
from envcheck.fit.memory_llama_settings import LlamaSettings
from envcheck.schema.facts import Record

F32 = 4
PIPELINE_COPIES = 4
"""`GGML_SCHED_MAX_COPIES`: inputs of a split are held once per batch in flight."""


class Offload(Record, gc=False):
    """Which part of the model the GPUs hold."""

    layers: int
    """Repeating layers on GPUs; they are the last ones."""
    output: bool
    total: int

    @property
    def partial(self) -> bool:
        """Some repeating layers stay on the host."""
        return self.layers < self.total


class Copied(Record, gc=False):
    """Bytes of weights in host memory that are copied over for every batch worth computing on a GPU."""

    output: float = 0.0
    experts: float = 0.0
    """All experts of one projection of one layer."""


NOTHING = Copied()


def copied(hparams: Hparams, weights: GgufWeights, offload: Offload) -> Copied:
    """The largest weights that are copied over with this placing."""
    experts = expert_tensor(weights) if hparams.experts and offload.partial else 0.0
    return Copied(output=0.0 if offload.output else weights.output, experts=experts)


def expert_tensor(weights: GgufWeights) -> float:
    """Bytes of all experts of one projection of the widest layer."""
    return max(weights.layers, default=0.0) / 3


def logits_bytes(hparams: Hparams, settings: LlamaSettings, ubatch: int) -> float:
    """The moment of the logits."""
    rows = (settings.sequences or 1) if settings.limited_outputs else ubatch
    return float(F32 * (rows * hparams.vocab + ubatch * hparams.embd))


def attention_bytes(hparams: Hparams, settings: LlamaSettings, ubatch: int, context: int) -> float:
    """The moment of attention to `context` cells."""
    if hparams.encoder and not settings.encoder_cache:
        context = ubatch
    if not hparams.caches:
        return float(F32 * ubatch * 6 * hparams.embd)
    if settings.flash_attention:
        mask = 2 if settings.half_mask else 6
        flash = float(ubatch * (mask * context + 16 * hparams.embd))
        expands = hparams.kv_rank and settings.fork and settings.mla >= 2
        return flash + (expanded_latent_bytes(hparams, settings) if expands else 0.0)
    return float(F32 * ubatch * ((hparams.heads + 1) * context + 4 * hparams.embd))


def expanded_latent_bytes(hparams: Hparams, settings: LlamaSettings) -> float:
    """ik_llama.cpp's `-mla 2` and `3` expand keys and values of the whole context again for every layer of a prompt.

    Per head and token: the product with kv_b and the keys joined with their rotary part, both f32, then both in f16.
    """
    block = hparams.blocks[0]
    widths = block.k_width + block.v_width
    product = widths - block.heads * hparams.rope_dim
    return float(settings.context_per_stream * (F32 * (product + widths) + 2 * widths))


def feed_forward_bytes(hparams: Hparams, settings: LlamaSettings, ubatch: int, context: int, width: int) -> float:
    """The moment of a feed-forward block of inner width `width`: gate, up, their product, residual and its norm."""
    if hparams.experts and hparams.ff_expert:
        width = max(hparams.ff_expert * hparams.experts_used, 0) + hparams.embd * hparams.experts_used // 3
    wide = 3 if settings.fork or settings.gated_unit else 2
    mask = 2 * ubatch * context
    return float(F32 * ubatch * (wide * width + 2 * hparams.embd) + mask)


def compute_bytes(hparams: Hparams, settings: LlamaSettings, offload: Offload, copied: Copied = NOTHING) -> float:
    """Compute buffers of all GPUs together."""
    devices = settings.devices
    if devices <= 1:
        return _device_bytes(hparams, settings, offload, copied, hparams.ff_max, holds_output=True)
    first = hparams.layer_count - offload.layers
    total = 0.0
    for device in range(devices):
        here = range(first + offload.layers * device // devices, first + offload.layers * (device + 1) // devices)
        widest = max((hparams.blocks[i].ff for i in here), default=hparams.ff_max if device == devices - 1 else 0)
        total += _device_bytes(hparams, settings, offload, copied, widest, holds_output=device == devices - 1)
    return total


def _device_bytes(
    hparams: Hparams, settings: LlamaSettings, offload: Offload, copied: Copied, ff: int, holds_output: bool
) -> float:
    context = settings.context_per_stream
    ubatch = min(settings.ubatch, context)
    attention = attention_bytes(hparams, settings, ubatch, context)
    if settings.flash_attention and not holds_output:
        attention += F32 * ubatch * ff
    partial = offload.partial
    if partial:
        attention += _host_layer_cache(hparams, settings)
        if settings.half_mask and settings.flash_attention:
            attention += _left_behind(hparams, settings)
    feed = feed_forward_bytes(hparams, settings, ubatch, context, ff)
    widest = max(attention, feed)
    if holds_output and not hparams.encoder:
        widest = max(widest, logits_bytes(hparams, settings, ubatch) + copied.output)
    widest = max(widest, feed + copied.experts)
    if settings.pipelined and settings.devices > 1:
        widest += _pipeline_inputs(hparams, settings, ubatch)
    return widest


def _pipeline_inputs(hparams: Hparams, settings: LlamaSettings, ubatch: int) -> float:
    mask = (2 if settings.half_mask and settings.flash_attention else F32) * ubatch * settings.context_per_stream
    hidden = F32 * ubatch * hparams.embd
    return float((PIPELINE_COPIES - 1) * mask + PIPELINE_COPIES * hidden)


def _host_layer_cache(hparams: Hparams, settings: LlamaSettings) -> float:
    """Keys and values of one layer whose cache is in host memory: copied over to be attended to."""
    if hparams.kv_rank and settings.fork and settings.mla:
        return max(cache_bytes(hparams, settings), default=0.0)
    return row_bytes(hparams.widest_cache, settings) * settings.context


def _left_behind(hparams: Hparams, settings: LlamaSettings) -> float:
    """Space lost between host layers: the keys of the next do not fit where the last one's were, as small tensors are
    put there, and go behind its values. (An f32 mask that is gone by then leaves room enough.)

    Ollama 0.32.5 with Llama 3.2 3B, 131072 tokens and 26 of 28 layers on the host: 925 MiB, of which 128 are the mask
    and three times 256 keys or values
    (https://github.com/BlazeFiresong18/Doraeon/blob/f7af8e196cd4968db6668bc4399cdf6da2a80e2a/ollama_serve.log).
    """
    if hparams.kv_rank:
        return 0.0
    return row_bytes((hparams.widest_cache[0], 0), settings) * settings.context
