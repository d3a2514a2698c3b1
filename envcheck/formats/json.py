"""JSON for programs: the document itself, keys in the order of its record, indented."""

from __future__ import annotations

from typing import Any

import msgspec

from envcheck.schema.format import Format, Style


def render(document: Any, style: Style) -> str:  # noqa: ARG001
    """The document as indented JSON with a final line feed; any Unicode stays readable."""
    formatted = msgspec.json.format(msgspec.json.encode(document), indent=2)
    text = formatted.decode()
    # Merged reports of many machines are large: one copy less at the peak.
    del formatted
    text += "\n"
    return text


FORMAT = Format(
    name="json",
    says="for programs; the schema ships with the package",
    suffix=".json",
    media_type="application/json",
    render=render,
)
