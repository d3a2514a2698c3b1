"""Bits and unpacking kind of a weight format, from the many ways people write it."""

from __future__ import annotations

import re

from envcheck.fit.speed_tables import Format, tables

_GGUF = re.compile(r"(?<![a-z0-9])(iq\d_(?:xxs|xs|s|m|nl)|tq\d_\d|q\d_k(?:_(?:xxs|xs|s|m|l|xl))?|q\d_\d)(?![a-z0-9])")
_BPW = re.compile(r"(\d(?:\.\d+)?)\s?bpw")
_MLX = re.compile(r"mlx[ -]?q?(\d)|(\d)bit-mlx")
_WORDS = (
    ("mxfp4", "mxfp4"), ("nvfp4", "nvfp4"), ("fp8", "fp8"), ("int8", "int8"), ("w8a8", "int8"), ("8-bit", "int8"),
    ("8bit", "int8"), ("awq", "awq"), ("gptq", "gptq"), ("int4", "int4"), ("4-bit", "int4"), ("4bit", "int4"),
    ("autoround", "int4"), ("q4f16", "int4"), ("nf4", "int4"), ("bf16", "bf16"), ("bfloat16", "bf16"), ("fp16", "f16"),
    ("float16", "f16"), ("f16", "f16"), ("half", "f16"), ("f32", "f32"), ("fp32", "f32"), ("float32", "f32"),
)  # fmt: skip


def format_named(text: str) -> Format | None:
    """The format a text names ("UD-Q4_K_XL", "AWQ 4-bit GEMM", "EXL2 4.0 bpw", "bf16"), or None.

    An unlisted size of a listed family takes the family's figure (Q4_K_XL: Q4_K_M).
    """
    said, known = text.lower(), tables().formats
    if gguf := _GGUF.search(said):
        name = gguf[1]
        family = re.match(r"i?t?q\d(?:_k|_\d)?", name)
        for candidate in (name, f"{family[0]}_m" if family else "", family[0] if family else ""):
            if candidate in known:
                return known[candidate]
    if bpw := _BPW.search(said):
        return Format(bits=float(bpw[1]) + 0.1, kind="int4" if float(bpw[1]) >= 2.5 else "low_bit")
    if mlx := _MLX.search(said):
        bits = int(mlx[1] or mlx[2])
        # Groups of 64 weights with a 16-bit scale and bias each (MLX quantize, default group size).
        return Format(bits=bits + 0.5, kind="int8" if bits == 8 else "int4")
    for word, name in _WORDS:
        if word in said:
            return known[name]
    if re.search(r"(?<![a-z0-9])q4(?![a-z0-9_])|mixed-int", said):
        return known["q4_k_m"]
    return None
