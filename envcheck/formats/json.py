"""JSON for programs: the document itself, keys in the order of its record."""

from __future__ import annotations

from typing import Any

import msgspec

from envcheck.schema.format import Format, Style

INDENT_BELOW = 8 * 1024 * 1024
"""Bytes; longer documents (reports of hundreds of machines) stay on one line: nobody reads them, and memory is dear."""


def render(document: Any, style: Style) -> str:  # noqa: ARG001
    """The document as JSON with a final line feed, indented unless it is very long; any Unicode stays readable."""
    encoded = bytearray()
    msgspec.json.Encoder().encode_into(document, encoded)
    if len(encoded) < INDENT_BELOW:
        encoded = bytearray(msgspec.json.format(bytes(encoded), indent=2))
    encoded += b"\n"
    return encoded.decode()


FORMAT = Format(
    name="json",
    says="for programs; the schema ships with the package",
    suffix=".json",
    media_type="application/json",
    render=render,
)
