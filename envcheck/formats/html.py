"""One HTML file: no network, light and dark, sortable tables, charts as SVG, readable by keyboard and screen reader."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

from envcheck import __version__
from envcheck.formats._checked import sections as check_sections
from envcheck.formats._plots import draw
from envcheck.formats._templates import environment, fill
from envcheck.formats._text import inert
from envcheck.schema.blocks import Mark
from envcheck.schema.format import Format, Style
from envcheck.schema.report import CheckDocument, Report

_SIGNS: dict[Mark, str] = {"good": "✔", "caution": "▲", "bad": "✘", "unknown": "?", "skipped": "–"}
_LINK = re.compile(r"https://[^\s<>\"'`\\]+|#[a-z0-9-]+")


def render(document: Any, style: Style) -> str:
    """`templates/report.html.j2` filled with the document.

    Context: `title`, `sections`, `closing` (name and value pairs), `version`, `document`, `signs`; `draw(chart)` gives
    SVG; the tests `kind` and `safe_link` tell a block's kind and whether a link may be followed.
    """
    env = environment(style, finalize=_shown)
    env.globals.update(signs=_SIGNS, draw=lambda item: Markup(draw(item)))  # noqa: S704
    env.filters.update(
        kind=lambda block: block.__struct_config__.tag, safe_link=lambda link: bool(_LINK.fullmatch(link))
    )
    return fill(env, "report.html.j2", document=document, version=__version__, **_context(document))


def _context(document: Any) -> dict[str, Any]:
    if isinstance(document, CheckDocument):
        return {"title": "Readiness check", "sections": check_sections(document), "closing": ()}
    if not isinstance(document, Report):
        raise TypeError(f"no HTML for {type(document).__name__}")
    answer = document.outcome
    missing = f" (missing: {'; '.join(answer.missing)})" if answer.missing else ""
    closing = (
        ("Report status", f"{answer.report_status.upper()}{missing}"),
        ("Environment status", answer.environment_status),
        ("Next phase", answer.next_phase),
    )
    return {"title": document.header.title, "sections": document.sections, "closing": closing}


def _shown(value: Any) -> Any:
    """Text without control characters; what is already HTML stays."""
    return inert(value) if type(value) is str else value


FORMAT = Format(
    name="html", says="one file for a browser, without network", suffix=".html", media_type="text/html", render=render
)
