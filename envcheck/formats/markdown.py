"""GitHub-flavoured Markdown: outcome first, details folded, nothing of the data alive."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from envcheck.formats import _markdown
from envcheck.formats._checked import sections
from envcheck.formats._templates import environment, fill
from envcheck.schema.format import Format, Style
from envcheck.schema.report import CheckDocument, Report


def render(document: Any, style: Style) -> str:
    """`templates/report.md.j2` (or `check.md.j2`) filled with the document.

    Context: `report` or `check` (the document), `sections`, `blocks(blocks)` and `cell(cell)` (Markdown of them). Every
    other expression is escaped.
    """
    env = environment(style, finalize=_escaped)
    env.globals.update(blocks=_blocks, anchor=lambda name: Markup(_markdown.anchor(name)))  # noqa: S704
    if isinstance(document, CheckDocument):
        return fill(env, "check.md.j2", check=document, sections=sections(document))
    if not isinstance(document, Report):
        raise TypeError(f"no Markdown for {type(document).__name__}")
    return fill(env, "report.md.j2", report=document, sections=document.sections)


def _escaped(value: Any) -> Any:
    return value if hasattr(value, "__html__") else Markup(_markdown.escaped(str(value)))  # noqa: S704


def _blocks(items: Any, level: int = 3) -> Markup:
    return Markup(_markdown.blocks(items, level))  # noqa: S704


FORMAT = Format(
    name="markdown",
    says="GitHub-flavoured Markdown for people and pull requests",
    suffix=".md",
    media_type="text/markdown",
    render=render,
)
