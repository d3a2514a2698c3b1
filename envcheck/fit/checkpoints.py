"""Bytes of a model's weights in the formats that Transformers and vLLM load, part by part.

A quantized checkpoint is not "bits / 8": embeddings, head, norms, routers and towers stay in 16 bit, and every group of
weights carries scales. Layouts: AWQ (https://github.com/casper-hansen/AutoAWQ, `WQLinear_GEMM`), GPTQ
(https://github.com/AutoGPTQ/AutoGPTQ, `qlinear_cuda`), bitsandbytes (https://github.com/bitsandbytes-foundation/bitsandbytes,
`functional.py`), compressed-tensors (https://github.com/neuralmagic/compressed-tensors), MXFP4 and NVFP4 block sizes
from https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf and
https://docs.nvidia.com/deeplearning/tensorrt-llm. Checked 2026-11-21.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

from envcheck.fit.tensors import Part, Tensor, tensors
from envcheck.schema.errors import InputError
from envcheck.schema.model import ModelFacts

Scheme = Literal[
    "bf16", "fp16", "fp32", "fp8", "fp8-block", "awq", "gptq-int4", "gptq-int8", "int4", "w4a16", "int8",
    "bnb-4bit", "bnb-int8",
    "mxfp4", "nvfp4",
]  # fmt: skip
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
GROUP = 128
"""Inputs that share one scale in AWQ, GPTQ and w4a16 checkpoints: what the common published ones use."""
INT4_GROUP = 32
"""The same in files named INT4 (compressed-tensors): reproduces what vLLM reports for RedHatAI/Qwen3.8-27B-INT4 and
poolside/Laguna-S-2.1-INT4 within 1 % and 4 %, where 128 is 7 % and 11 % short."""
_LINEAR: frozenset[Part] = frozenset({"attention", "recurrent", "mlp", "experts", "shared_experts"})
_EXPERTS_ONLY = frozenset({"gemma4", "laguna", "nemotron_h", "qwen3_5_moe", "qwen3_next"})
"""Mixtures of experts whose published 4-bit files shrink the routed experts alone: the `ignore` lists of
nvidia/Gemma-4-26B-A4B-NVFP4 and poolside/Laguna-S-2.1-FP8 (config.json on huggingface.co) name everything else."""
_SIXTEEN_BIT_ATTENTION = frozenset({"deepseek_v3", "deepseek_v32", "kimi_k2", "glm_moe_dsa", "gemma4", "qwen3_5"})
"""Architectures whose NVFP4 files keep attention in 16 bit (`ignore` of nvidia/Kimi-K2.5-NVFP4, nvidia/GLM-5.1-NVFP4,
nvidia/Gemma-4-31B-IT-NVFP4)."""


_WIDE_ATTENTION_LAYERS = frozenset({"nemotron_h"})
"""Hybrids whose FP8 files keep the attention layers and the state layer before each in 16 bit
(https://huggingface.co/nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-FP8; reproduces Nemotron-3-Nano-4B-FP8 within 2 %)."""


@lru_cache(maxsize=256)
def wide_layers(facts: ModelFacts, scheme: str) -> frozenset[int]:
    """Layers that a checkpoint of this scheme leaves in 16 bit."""
    if scheme not in ("fp8", "fp8-block") or facts.architecture not in _WIDE_ATTENTION_LAYERS:
        return frozenset()
    kept: set[int] = set()
    state = -1
    for layer in facts.layers():
        if layer.recurrent is not None:
            state = layer.index
        if layer.attention is not None:
            kept |= {layer.index, state} - {-1}
    return frozenset(kept)


def quantized_parts(facts: ModelFacts, scheme: Scheme) -> frozenset[Part]:
    """The parts whose projections a checkpoint of this scheme stores in fewer than 16 bits."""
    if scheme in ("bf16", "fp16", "fp32"):
        return frozenset()
    if scheme == "mxfp4" or (
        scheme in ("awq", "int4", "w4a16", "nvfp4") and facts.experts and facts.architecture in _EXPERTS_ONLY
    ):
        return frozenset({"experts"})
    if scheme == "nvfp4" and facts.architecture in _SIXTEEN_BIT_ATTENTION:
        return _LINEAR - {"attention"}
    return _LINEAR | {"mtp"} if scheme == "fp8-block" else _LINEAR


def tensor_bytes(tensor: Tensor, scheme: Scheme, quantized: frozenset[Part] = _LINEAR) -> int:
    """Bytes of one tensor with its scales and zero points, where projections of the parts `quantized` are shrunk."""
    if tensor.kind != "linear" or not (tensor.part in quantized or (tensor.part == "other" and quantized >= _LINEAR)):
        return tensor.elements * (4 if scheme == "fp32" else 2)
    return round(_quantized_bytes(tensor.rows, tensor.cols, scheme)) * tensor.copies


def _quantized_bytes(rows: int, cols: int, scheme: Scheme) -> float:
    elements, groups = rows * cols, -(-cols // GROUP)
    if scheme == "fp8":
        return elements + 4 * rows
    if scheme == "fp8-block":
        return elements + 4 * groups * -(-rows // 128)
    if scheme == "awq":
        return elements / 2 + groups * rows * (2 + 0.5)
    if scheme == "gptq-int4":
        return elements / 2 + groups * rows * (2 + 0.5) + 4 * cols
    if scheme == "gptq-int8":
        return elements + groups * rows * (2 + 1) + 4 * cols
    if scheme in ("int4", "w4a16"):
        return elements / 2 + (groups if scheme == "w4a16" else -(-cols // INT4_GROUP)) * rows * 2
    if scheme == "int8":
        return elements + 4 * rows
    if scheme == "bnb-4bit":  # nested: one byte per 64 weights, one float per 256 of those
        return elements / 2 + elements / 64 + 4 * elements / (64 * 256)
    if scheme == "bnb-int8":
        return elements + 4 * rows
    if scheme == "mxfp4":
        return elements / 2 + elements / 32
    return elements / 2 + elements / 16 + 8  # nvfp4


def checkpoint_bytes(facts: ModelFacts, scheme: Scheme) -> dict[Part, int]:
    """Bytes by part of the model's weights in a checkpoint of this scheme, tied heads counted once.

    Raises InputError for a scheme that is not in SCHEMES.
    """
    if scheme not in SCHEMES:
        raise InputError(f"no weight format {scheme!r}; known are {', '.join(SCHEMES)}")
    total: dict[Part, int] = {}
    quantized, wide = quantized_parts(facts, scheme), wide_layers(facts, scheme)
    for tensor in tensors(facts):
        shrunk = frozenset[Part]() if tensor.layer in wide else quantized
        total[tensor.part] = total.get(tensor.part, 0) + tensor_bytes(tensor, scheme, shrunk)
    return total


_PUBLISHED: dict[str, Scheme] = {
    "float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float8": "fp8-block", "mxfp4": "mxfp4",
}  # fmt: skip


def native_scheme(facts: ModelFacts) -> Scheme:
    """The scheme the publisher's own files have."""
    return _PUBLISHED[facts.precision]
