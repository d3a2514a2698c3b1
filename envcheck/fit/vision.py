"""Weights of an image encoder and its projector, from the `vision_config` section of a `config.json`.

Each formula sums the module's tensors as `modeling_<model_type>.py` in
https://github.com/huggingface/transformers builds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envcheck.schema.errors import InputError
from envcheck.schema.model import Vision


def vision_from(config: Mapping[str, Any], hidden: int) -> Vision | None:
    """The tower of a vision-language configuration, or None where there is none or its layout is not known here."""
    section = config.get("vision_config")
    if not isinstance(section, Mapping):
        return None
    counter = _COUNTERS.get(str(config.get("model_type")))
    if counter is None:
        return None
    parameters = counter(_Section(section, config), hidden)
    width = section.get("hidden_size") or section.get("embed_dim") or 0
    return Vision(
        parameters=parameters,
        layers=int(section.get("num_hidden_layers") or section.get("depth") or 0),
        hidden=int(width),
        heads=int(section.get("num_attention_heads") or section.get("num_heads") or 0),
        patch=int(section.get("patch_size") or 14),
        image_size=int(section.get("image_size") or 0),
    )


class _Section:
    """The `vision_config` (`inner`) of a configuration (`outer`), read as whole numbers."""

    def __init__(self, inner: Mapping[str, Any], outer: Mapping[str, Any]) -> None:
        self.inner, self.outer = inner, outer

    def __call__(self, key: str, default: int) -> int:
        value = self.inner.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**32:
            raise InputError(f"config.json: vision_config.{key} = {value!r} is not a plausible count")
        return int(value)


def _block(width: int, ffn: int, bias: bool = True, gated: bool = False, norm: int = 2) -> int:
    """One pre-norm transformer block: four attention projections, a feed-forward block, two norms."""
    attention = 4 * width * width + (4 * width if bias else 0)
    feed_forward = (3 if gated else 2) * width * ffn + ((ffn * (2 if gated else 1) + width) if bias else 0)
    return attention + feed_forward + 2 * norm * width


def _siglip(v: _Section) -> int:
    width, ffn = v("hidden_size", 1152), v("intermediate_size", 4304)
    patch, size = v("patch_size", 14), v("image_size", 896)
    embedding = 3 * patch * patch * width + width + (size // patch) ** 2 * width
    return embedding + v("num_hidden_layers", 27) * _block(width, ffn) + 2 * width


def _gemma3(v: _Section, hidden: int) -> int:
    width = v("hidden_size", 1152)
    return _siglip(v) + width * hidden + width


def _gemma4(v: _Section, hidden: int) -> int:
    width, ffn = v("hidden_size", 1152), v("intermediate_size", 4304)
    embedding = 3 * v("patch_size", 16) ** 2 * width + 2 * v("position_embedding_size", 10240) * width
    block = 4 * width * width + 3 * width * ffn + 4 * width + 2 * v("head_dim", 72)
    if v.inner.get("use_clipped_linears"):
        block += 7 * 4
    return (
        embedding
        + v("num_hidden_layers", 27) * block
        + (2 * width if v.inner.get("standardize") else 0)
        + width * hidden
    )


def _clip(v: _Section) -> int:
    width, ffn = v("hidden_size", 1024), v("intermediate_size", 4096)
    patch, size = v("patch_size", 14), v("image_size", 336)
    embedding = 3 * patch * patch * width + width + ((size // patch) ** 2 + 1) * width
    return embedding + v("num_hidden_layers", 24) * _block(width, ffn) + 4 * width


def _llava(v: _Section, hidden: int) -> int:
    width = v("hidden_size", 1024)
    return _clip(v) + width * hidden + hidden + hidden * hidden + hidden


def _qwen2_vl(v: _Section, hidden: int) -> int:
    width = v("embed_dim", 1280)
    ffn, merge = width * v("mlp_ratio", 4), v("spatial_merge_size", 2) ** 2
    embedding = 3 * 2 * v("patch_size", 14) ** 2 * width
    inner = width * merge
    merger = 2 * width + inner * inner + inner + inner * hidden + hidden
    return embedding + v("depth", 32) * _block(width, ffn) + merger


def _qwen2_5_vl(v: _Section, hidden: int) -> int:
    width, ffn = v("hidden_size", 1280), v("intermediate_size", 3420)
    embedding = 3 * 2 * v("patch_size", 14) ** 2 * width
    inner = width * v("spatial_merge_size", 2) ** 2
    merger = width + inner * inner + inner + inner * hidden + hidden
    return embedding + v("depth", 32) * _block(width, ffn, gated=True, norm=1) + merger


def _qwen3_vl(v: _Section, hidden: int) -> int:
    width, ffn = v("hidden_size", 1152), v("intermediate_size", 4304)
    embedding = 3 * v("temporal_patch_size", 2) * v("patch_size", 16) ** 2 * width + width
    positions = v("num_position_embeddings", 2304) * width
    inner = width * v("spatial_merge_size", 2) ** 2
    out = v("out_hidden_size", hidden)
    merger = inner * inner + inner + inner * out + out
    deep = len(v.inner.get("deepstack_visual_indexes") or ()) * (merger + 2 * inner)
    return embedding + positions + v("depth", 27) * _block(width, ffn) + merger + 2 * width + deep


def _pixtral(v: _Section, hidden: int) -> int:
    width, ffn = v("hidden_size", 1024), v("intermediate_size", 4096)
    tower = 3 * v("patch_size", 16) ** 2 * width + width
    tower += v("num_hidden_layers", 24) * _block(width, ffn, bias=False, gated=True, norm=1)
    projector = width * hidden + hidden * hidden
    if v.outer.get("model_type") == "mistral3":
        merge = int(v.outer.get("spatial_merge_size", 2)) ** 2
        projector += width * width * merge + width + (2 * hidden if v.outer.get("multimodal_projector_bias") else 0)
    else:
        projector += 2 * hidden
    return tower + projector


def _internvl(v: _Section, hidden: int) -> int:
    width, ffn = v("hidden_size", 1024), v("intermediate_size", 4096)
    patch, size = v("patch_size", 14), v("image_size", 448)
    bias = bool(v.inner.get("qkv_bias", True))
    block = 4 * width * width + width + (3 * width if bias else 0) + 2 * width * ffn + ffn + width + 2 * width
    block += 2 * width if v.inner.get("norm_type") == "rms_norm" else 4 * width
    block += 2 * width if v.inner.get("qk_normalization") else 0
    embedding = 3 * patch * patch * width + width + ((size // patch) ** 2 + 1) * width + width
    inner = int(width / float(v.outer.get("downsample_ratio", 0.5)) ** 2)
    projector = 2 * inner + inner * hidden + hidden + hidden * hidden + hidden
    return embedding + v("num_hidden_layers", 24) * block + projector


_COUNTERS = {
    "gemma3": _gemma3, "gemma4": _gemma4, "llava": _llava, "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl, "qwen3_vl": _qwen3_vl,
    "qwen3_vl_moe": _qwen3_vl, "qwen3_5": _qwen3_vl, "qwen3_5_moe": _qwen3_vl, "mistral3": _pixtral,
    "internvl_chat": _internvl,
}  # fmt: skip
