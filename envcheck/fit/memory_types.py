"""Bytes of one element in every ggml type, and in the names KV caches go by.

Source: `ggml/src/ggml-common.h` of ggml-org/llama.cpp (block sizes) and of ikawrakow/ik_llama.cpp for the `iq?_k*`,
`*_kt`, `*_bn` and repacked `_r4`/`_r8` types, which are as large as the type they repack.
"""

from __future__ import annotations

MIB = 2**20

_BLOCKS: dict[str, tuple[int, int]] = {
    # type: (elements of a block, its bytes)
    "f32": (1, 4), "f16": (1, 2), "bf16": (1, 2), "fp8": (1, 1), "fp8_e4m3": (1, 1), "fp8_e5m2": (1, 1), "i32": (1, 4),
    "q4_0": (32, 18), "q4_1": (32, 20), "q5_0": (32, 22), "q5_1": (32, 24), "q8_0": (32, 34), "q8_1": (32, 36),
    "q6_0": (32, 26), "iq4_nl": (32, 18), "mxfp4": (32, 17), "nvfp4": (64, 36),
    "q2_k": (256, 84), "q3_k": (256, 110), "q4_k": (256, 144), "q5_k": (256, 176), "q6_k": (256, 210),
    "q8_k": (256, 292),
    "iq1_s": (256, 50), "iq1_m": (256, 56), "iq2_xxs": (256, 66), "iq2_xs": (256, 74), "iq2_s": (256, 82),
    "iq3_xxs": (256, 98), "iq3_s": (256, 110), "iq4_xs": (256, 136), "tq1_0": (256, 54), "tq2_0": (256, 66),
    "iq2_k": (256, 76), "iq3_k": (256, 110), "iq4_k": (256, 144), "iq5_k": (256, 176), "iq6_k": (256, 212),
    "iq2_ks": (256, 70), "iq3_ks": (256, 102), "iq4_ks": (256, 136), "iq4_kss": (256, 128), "iq5_ks": (256, 168),
    "iq2_kl": (256, 86), "iq1_kt": (256, 56), "iq2_kt": (256, 68), "iq3_kt": (256, 100), "iq4_kt": (256, 128),
    "iq1_bn": (64, 13), "iq2_bn": (64, 16), "i2_s": (4, 1),
}  # fmt: skip


def element_bytes(type_name: str) -> float | None:
    """Bytes of one element of a ggml type ("q4_K", "IQ4_XS", "q8_0_r8"); None for a type this table does not know."""
    name = type_name.lower()
    for suffix in ("_r4", "_r8", "_r16"):
        name = name.removesuffix(suffix)
    block = _BLOCKS.get(name)
    return None if block is None else block[1] / block[0]
