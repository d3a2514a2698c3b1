"""A picture small enough to be made in code: one colour from edge to edge, as PNG (W3C, PNG third edition)."""

from __future__ import annotations

import struct
import zlib

SIDE = 224
"""Pixels of an edge; the encoders of vision models take pictures of this size without refusing or padding."""


def plain_png(red: int, green: int, blue: int, side: int = SIDE) -> bytes:
    """An 8-bit RGB picture of one colour."""
    line = b"\0" + bytes((red, green, blue)) * side  # each line begins with its filter, 0 for none
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(line * side, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
