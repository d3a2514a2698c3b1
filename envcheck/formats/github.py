"""Markdown for `$GITHUB_STEP_SUMMARY`: headings from the third level on, and never longer than GitHub accepts.

A summary over 1 MiB is dropped whole
(https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits).
"""

from __future__ import annotations

from typing import Any

from envcheck.formats import _markdown
from envcheck.formats._checked import sections as check_sections
from envcheck.schema.blocks import Block, Fold, Part, Section
from envcheck.schema.format import Format, Style
from envcheck.schema.report import CheckDocument, Report

LIMIT = 1_000_000
"""Bytes; a little below 1 MiB."""


def render(document: Any, style: Style) -> str:  # noqa: ARG001
    """The whole document; without its folded parts where it is too long; else as many sections as there is room for."""
    if isinstance(document, CheckDocument):
        title, sections = "Readiness check", check_sections(document)
    elif isinstance(document, Report):
        title, sections = document.header.title, document.sections
    else:
        raise TypeError(f"no Markdown for {type(document).__name__}")
    text = _page(title, sections)
    if len(text.encode()) > LIMIT:
        sections = tuple(Section(id=s.id, title=s.title, blocks=_open(s.blocks)) for s in sections)
        text = _page(title, sections, "Folded parts are left out: they exceed what GitHub shows.")
    while len(text.encode()) > LIMIT and len(sections) > 1:
        sections = sections[:-1]
        text = _page(
            title, sections, "The end is left out: it exceeds what GitHub shows. The report file has everything."
        )
    if len(text.encode()) > LIMIT:
        return _page(title, (), "The report exceeds what GitHub shows: see the report file.")
    return text


def _page(title: str, sections: tuple[Section, ...], note: str = "") -> str:
    parts = [f"### {_markdown.escaped(title)}", *([f"> {note}"] if note else [])]
    for section in sections:
        parts += [
            f"{_markdown.anchor(section.id)}#### {_markdown.escaped(section.title)}",
            _markdown.blocks(section.blocks, 5),
        ]
    return "\n\n".join(parts) + "\n"


def _open(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    kept: list[Block] = []
    for block in blocks:
        if isinstance(block, Part):
            kept.append(Part(id=block.id, title=block.title, blocks=_open(block.blocks)))
        elif not isinstance(block, Fold):
            kept.append(block)
    return tuple(kept)


FORMAT = Format(
    name="github", says="Markdown for a GitHub step summary", suffix=".md", media_type="text/markdown", render=render
)
