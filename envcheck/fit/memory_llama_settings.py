"""How a llama.cpp process was, or will be, started, and which generation of its memory rules applies.

Unset options take llama.cpp's defaults. A build number decides where behaviour changed; without one, the lines that a
log prints give the generation away (`n_ctx_per_seq` since late 2024, `kv_unified` since mid 2025, `n_ctx_seq` after).
"""

from __future__ import annotations

import re
from typing import Any, Literal

from envcheck.schema.facts import Record

SPLIT_WINDOW_CACHE_BUILD = 5427
"""First build with a cache of its own for sliding-window layers (ggml-org/llama.cpp#13194, May 2025)."""
OUTPUT_FIRST_BUILD = 7406
"""First build whose `-ngl` counts the output layer first (ggml-org/llama.cpp#16653, December 2025)."""
LATENT_CACHE_BUILD = 7840
"""First build that reads MLA's values out of its compressed keys instead of caching both (ggml-org/llama.cpp#19067)."""
ENCODER_WITHOUT_CACHE_BUILD = 5591
"""First build that keeps no cache for encoders (ggml-org/llama.cpp#13979 series, June 2025)."""

GATED_UNIT_BUILD = 5776
"""First build that makes the product of gate and up in one operation, beside both (ggml-org/llama.cpp#14158, June
2025)."""
HALF_MASK_BUILD = 9410
"""First build that reserves the attention mask in f16 alone where flash attention is used (ggml-org/llama.cpp#23764,
May 2026)."""
LIMITED_OUTPUTS_BUILD = 9460
"""First build whose server reserves one row of logits per sequence (ggml-org/llama.cpp#23861, June 2026)."""
FUSED_OPERATIONS_BUILD = 9924
"""First build that says what became of `flash_attn = auto` in other words than "Flash Attention was auto, set to"
(ggml-org/llama.cpp#24646, July 2026): a log with the former and without the latter is of this build or a later one."""

DEFAULT_UBATCH = 512

Generation = Literal["early", "sequences", "streams"]


class LlamaSettings(Record, cache_hash=True, gc=False):
    """Settings that memory depends on."""

    context: int
    """Tokens over all sequences (`n_ctx`)."""
    ubatch: int = DEFAULT_UBATCH
    sequences: int = 1
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attention: bool = False
    gpu_layers: int | None = None
    """As `-ngl` counts: repeating layers and the output layer; None: all of them."""
    unified: bool = True
    """One cache for all sequences; else one per sequence, each of `context / sequences`."""
    full_window_cache: bool = False
    """`--swa-full`, or a build from before windowed caches."""
    output_first: bool = True
    build_known: bool = True
    limited_outputs: bool = False
    """Logits are reserved for one token of each sequence, not for a whole ubatch."""
    half_mask: bool = False
    """With flash attention the mask is in f16 from the start, else in f32 first."""
    gated_unit: bool = False
    """Gate and up are there until their product is made; else it takes the place of one of them."""
    latent_cache: bool = False
    """MLA's compressed keys are the whole cache; else its values are cached beside them."""
    encoder_cache: bool = False
    devices: int = 1
    pipelined: bool = False
    """Several GPUs with copies of the graph's inputs for pipeline parallelism."""
    cache_on_host: bool = False
    fork: str | None = None
    mla: int = 0
    """ik_llama.cpp's `-mla`: 0 expanded, 1 compressed plus a transposed copy, 2 and 3 compressed."""
    attention_max_batch: int = 0
    """ik_llama.cpp's `-amb`, MiB; 0: no limit."""

    @property
    def streams(self) -> int:
        """Caches side by side."""
        return 1 if self.unified else self.sequences or 1

    @property
    def context_per_stream(self) -> int:
        """Tokens of one cache."""
        return self.context if self.unified else self.context // (self.sequences or 1)


def generation(settings: dict[str, Any], build: int | None) -> Generation:
    """Which generation of llama.cpp wrote these settings."""
    if settings.get("kv_unified") is not None or settings.get("n_ctx_seq") is not None or (build or 0) >= 6100:
        return "streams"
    if settings.get("n_ctx_per_seq") is not None or (build or 0) >= 4100:
        return "sequences"
    return "early"


def build_number(engine_version: str | None) -> int | None:
    """llama.cpp's build number from "8133 (2b6dfe824)" or "b8133"; None for anything else, and for the unset 0."""
    found = re.match(r"b?(\d+)\b(?![.])", engine_version or "")
    return (int(found[1]) or None) if found else None


def from_log(
    settings: dict[str, Any], engine: str, fork: str | None, version: str | None, devices: int
) -> LlamaSettings:
    """Settings as a log printed them; None there means not shown, so llama.cpp's default is assumed."""
    ik = bool(fork)
    build = build_number(version) if engine == "llama.cpp" else None
    build = build or _least_build(settings)
    era = generation(settings, build)
    foreign = ik and settings.get("n_seq") is None
    return LlamaSettings(
        context=settings.get("n_ctx") or settings.get("ctx") or 4096,
        ubatch=_ubatch(settings),
        sequences=settings.get("n_seq") or 1,
        type_k=settings.get("kv_type_k") or "f16",
        type_v=settings.get("kv_type_v") or settings.get("kv_type_k") or "f16",
        flash_attention=_flash(settings, era),
        gpu_layers=settings.get("gpu_layers"),
        unified=str(settings.get("kv_unified", "true")).lower() != "false",
        full_window_cache=foreign or not _windowed(settings, era, build, engine),
        output_first=_output_first(settings, era, build),
        build_known=build is not None,
        limited_outputs=(build or 0) >= LIMITED_OUTPUTS_BUILD,
        half_mask=(build or 0) >= HALF_MASK_BUILD,
        gated_unit=build >= GATED_UNIT_BUILD if build else era == "streams",
        latent_cache=build >= LATENT_CACHE_BUILD if build else era == "streams",
        encoder_cache=not (era == "streams" or (build or 0) >= ENCODER_WITHOUT_CACHE_BUILD),
        devices=devices,
        pipelined=bool(settings.get("pipeline_parallelism")),
        fork=fork if foreign else None,
        mla=settings.get("mla_attn") or 0,
        attention_max_batch=settings.get("attn_max_b") or 0,
    )


def _least_build(settings: dict[str, Any]) -> int | None:
    """The build that a log without a number must at least be of; None where its words do not tell."""
    unresolved = str(settings.get("flash_attn")).lower() == "auto" and settings.get("flash_attn_effective") is None
    return FUSED_OPERATIONS_BUILD if unresolved and settings.get("n_ctx_seq") is not None else None


def _ubatch(settings: dict[str, Any]) -> int:
    ubatch = settings.get("ubatch") or min(settings.get("batch") or DEFAULT_UBATCH, DEFAULT_UBATCH)
    return int(ubatch)


def _flash(settings: dict[str, Any], era: Generation) -> bool:
    effective = settings.get("flash_attn_effective")
    if effective is not None:
        return bool(effective)
    printed = str(settings.get("flash_attn")).lower()
    if printed in ("auto", "none") and era == "streams":
        return True  # the default since autumn 2025 is to use it wherever the backend can
    return printed in ("1", "true", "enabled", "on")


def _windowed(settings: dict[str, Any], era: Generation, build: int | None, engine: str) -> bool:
    if build is not None:
        return build >= SPLIT_WINDOW_CACHE_BUILD
    return era == "streams" or (engine == "ollama" and settings.get("ollama_runner") == "ollama-engine")


def _output_first(settings: dict[str, Any], era: Generation, build: int | None) -> bool:
    if build is not None:
        return build >= OUTPUT_FIRST_BUILD
    return era == "streams" and settings.get("n_ctx_seq") is not None
