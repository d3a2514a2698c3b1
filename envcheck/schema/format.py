"""What an output format is: a name, and a pure function from one document to text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envcheck.schema.facts import Record


class Style(Record):
    """How text for a person is laid out. Never changes what is said; formats for programs ignore it."""

    width: int = 80
    """Columns of the terminal; 20 at least is used."""
    colour: bool = False
    unicode: bool = True
    """False where the stream cannot carry anything beyond ASCII."""
    templates: str | None = None
    """A folder whose templates are used before the project's own (`--template DIR`)."""


class Format(Record):
    """A plug-in of `envcheck/formats/`."""

    name: str
    says: str
    """One clause for `--help`."""
    suffix: str
    """Ending of a file in this format, with its dot."""
    media_type: str
    render: Callable[[Any, Style], str]
    """From a `CheckDocument` or a `Report` to text. Pure: the same document and style give the same text."""
