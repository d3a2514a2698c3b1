"""Formats: one file each, from one document to text. A format lays out; it decides nothing."""

from __future__ import annotations

from typing import Any

from envcheck.discover import load
from envcheck.schema.errors import InputError
from envcheck.schema.format import Format, Style


def render(document: Any, name: str, style: Style | None = None) -> str:
    """A `CheckDocument` or `Report` as text in the format `name`; an unknown name is an input error."""
    chosen: Format = load(__name__, name, "FORMAT")
    try:
        return chosen.render(document, style or Style())
    except RecursionError:
        raise InputError(f"The document is nested too deeply for {name}: it was not made by envcheck.") from None
