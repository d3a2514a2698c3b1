"""GGUF files written byte by byte for tests (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from envcheck.fit.gguf_types import type_bytes

NUMBERS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "Q4_K": 12, "Q6_K": 14, "BF16": 30}


def text(value: str, order: str = "<") -> bytes:
    raw = value.encode()
    return struct.pack(order + "Q", len(raw)) + raw


def value(item: Any, order: str = "<") -> bytes:
    """One typed value: bool, int (u32), float, str, or a list of one kind."""
    if isinstance(item, bool):
        return struct.pack(order + "I?", 7, item)
    if isinstance(item, int):
        return struct.pack(order + "II", 4, item)
    if isinstance(item, float):
        return struct.pack(order + "If", 6, item)
    if isinstance(item, str):
        return struct.pack(order + "I", 8) + text(item, order)
    kind = value(item[0], order)[:4] if item else struct.pack(order + "I", 4)
    body = b"".join(value(entry, order)[4:] for entry in item)
    return struct.pack(order + "I", 9) + kind + struct.pack(order + "Q", len(item)) + body


def tensor_row(name: str, shape: Sequence[int], kind: int, offset: int, order: str = "<") -> bytes:
    return (
        text(name, order)
        + struct.pack(order + "I", len(shape))
        + b"".join(struct.pack(order + "Q", width) for width in shape)
        + struct.pack(order + "IQ", kind, offset)
    )


def gguf(
    metadata: Mapping[str, Any],
    tensors: Mapping[str, tuple[Sequence[int], str]],
    order: str = "<",
    weights: bool = True,
) -> bytes:
    """A whole file; `weights` False leaves the data section out."""
    rows, offset = b"", 0
    for name, (shape, kind) in tensors.items():
        rows += tensor_row(name, shape, NUMBERS[kind], offset, order)
        rest = 1
        for width in shape[1:]:
            rest *= width
        offset += -(-type_bytes(kind, rest, shape[0]) // 32) * 32
    pairs = b"".join(text(key, order) + value(item, order) for key, item in metadata.items())
    head = b"GGUF" + struct.pack(order + "IQQ", 3, len(tensors), len(metadata)) + pairs + rows
    return head + bytes(-len(head) % 32) + (bytes(offset) if weights else b"")


def small_llama(layers: int = 2, **changes: Any) -> tuple[dict[str, Any], dict[str, tuple[Sequence[int], str]]]:
    """Metadata and tensors of a small dense model with grouped-query attention and a head of its own."""
    metadata: dict[str, Any] = {
        "general.architecture": "llama", "general.name": "Small", "general.file_type": 2, "llama.block_count": layers,
        "llama.context_length": 4096, "llama.embedding_length": 64, "llama.feed_forward_length": 160,
        "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
        "tokenizer.ggml.tokens": [f"t{i}" for i in range(5000)], **changes,
    }  # fmt: skip
    tensors: dict[str, tuple[Sequence[int], str]] = {
        "token_embd.weight": ((64, 5000), "Q4_0"), "output.weight": ((64, 5000), "Q8_0"),
        "output_norm.weight": ((64,), "F32"),
    }  # fmt: skip
    for index in range(layers):
        start = f"blk.{index}."
        tensors |= {
            start + "attn_norm.weight": ((64,), "F32"), start + "ffn_norm.weight": ((64,), "F32"),
            start + "attn_q.weight": ((64, 64), "Q4_0"), start + "attn_k.weight": ((64, 32), "Q4_0"),
            start + "attn_v.weight": ((64, 32), "Q4_0"), start + "attn_output.weight": ((64, 64), "Q4_0"),
            start + "ffn_gate.weight": ((64, 160), "Q4_0"), start + "ffn_up.weight": ((64, 160), "Q4_0"),
            start + "ffn_down.weight": ((160, 64), "Q4_0"),
        }  # fmt: skip
    return metadata, tensors
