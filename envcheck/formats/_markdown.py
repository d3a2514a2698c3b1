"""Blocks as GitHub-flavoured Markdown in which no character of the data acts.

Escaping follows the GFM specification (https://github.github.com/gfm/, 0.29): any ASCII punctuation may be escaped with
a backslash; a pipe must be escaped inside tables even within a code span. The only HTML is ours: details and summary.
"""

from __future__ import annotations

import re

from envcheck.formats._text import inert
from envcheck.schema.blocks import (
    Bands,
    Bars,
    Block,
    Cell,
    Commands,
    Fold,
    Mark,
    Note,
    Paragraph,
    Part,
    Points,
    Table,
    Timeline,
)

MARKS: dict[Mark, str] = {"good": "✅", "caution": "⚠️", "bad": "❌", "unknown": "❔", "skipped": "⏭️"}
_SPECIAL = re.compile(r"[\\`*\[\]<>|~$]|&(?=#?[0-9A-Za-z]+;)|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
_LINE_START = re.compile(r"^(#{1,6}(?= |$)|[-+](?= |$)|=+$|-+$|(\d{1,9})([.)])(?= |$))")
_AUTOLINK = re.compile(r"(?i)\b(https?|ftp|www)(?=[:.])")
_MENTION = re.compile(r"(?<![\w`/])@(?=\w)")
_LINK = re.compile(r"https://[^\s<>\"'`|\\()]+")
_WORD_JOINER = "\u2060"


def escaped(text: str, *, in_link: bool = False) -> str:
    """One line of text whose every character is shown: no markup, link, mention or HTML comes to life.

    Inside a link of ours an address cannot become a second one, so it stays as it is.
    """
    text = _SPECIAL.sub(lambda found: "\\" + found[0], inert(text))
    text = _LINE_START.sub(lambda m: f"{m[2]}\\{m[3]}" if m[2] else "\\" + m[0], text)
    if not in_link:
        text = _AUTOLINK.sub(lambda found: found[0] + _WORD_JOINER, text)
    return _MENTION.sub("@" + _WORD_JOINER, text)


def code_span(text: str, *, in_table: bool = False) -> str:
    """Text shown literally on one line; longer fences where it holds backticks itself."""
    text = inert(text)
    if not text:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text[0] == "`" or text[-1] == "`" else ""
    if in_table and "|" in text:
        # A backslash before a pipe would not survive: GFM takes it away with the escape.
        return escaped(text) if "\\|" in text else f"{fence}{space}{text.replace('|', chr(92) + '|')}{space}{fence}"
    return f"{fence}{space}{text}{space}{fence}"


def cell(value: Cell, *, in_table: bool = False) -> str:
    """A cell with its mark; a link only to an https address or a part of this document."""
    linked = bool(value.text) and bool(_LINK.fullmatch(value.link) or re.fullmatch(r"#[a-z0-9-]+", value.link))
    text = code_span(value.text, in_table=in_table) if value.code else escaped(value.text, in_link=linked)
    if linked:
        text = f"[{text}]({value.link})"
    return f"{MARKS[value.mark]} {text}".rstrip() if value.mark else text


def blocks(items: tuple[Block, ...], level: int = 3) -> str:
    """Blocks separated by blank lines; parts start with a heading of `level`."""
    texts = [text for text in (block(item, level) for item in items) if text]
    return "\n\n".join(texts)


def block(item: Block, level: int) -> str:
    """One block. Of a chart its sentence: the figures are in the table beside it."""
    match item:
        case Paragraph():
            return escaped(item.text)
        case Note():
            return f"> {MARKS[item.mark]} {escaped(item.text)}"
        case Table():
            return table(item)
        case Commands():
            return f"{escaped(item.says)}\n\n{fenced(item.lines, item.language)}"
        case Points():
            return points(item)
        case Fold():
            return f"<details>\n<summary>{_html(item.title)}</summary>\n\n{blocks(item.blocks, level)}\n\n</details>"
        case Part():
            return f"{anchor(item.id)}{'#' * level} {escaped(item.title)}\n\n{blocks(item.blocks, min(level + 1, 6))}"
        case Bars() | Bands() | Timeline():
            return f"{escaped(item.title)}: {escaped(item.says)}"


def anchor(name: str) -> str:
    """A target for links within the document: GitHub makes heading ids from the words, which would change with them.

    A name that is no id of ours (from a report file made elsewhere) gets none.
    """
    return f'<a id="{name}"></a>\n\n' if re.fullmatch(r"[a-z0-9-]+", name) else ""


def table(item: Table) -> str:
    """A pipe table with its basis below."""
    head = "| " + " | ".join(escaped(column.title) for column in item.columns) + " |"
    rule = "|" + "|".join(" ---: " if column.numeric else " --- " for column in item.columns) + "|"
    rows = ["| " + " | ".join(cell(value, in_table=True) for value in row) + " |" for row in item.rows]
    basis = f"\n\n*{escaped(item.basis)}*" if item.basis else ""
    return "\n".join([head, rule, *rows]) + basis


def points(item: Points) -> str:
    """A list, numbered where the order matters."""
    signs = (f"{number}." for number in range(1, len(item.items) + 1)) if item.ordered else ("-" for _ in item.items)
    return "\n".join(f"{sign} {cell(value)}" for sign, value in zip(signs, item.items, strict=True))


def fenced(lines: tuple[str, ...], language: str) -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    body = "\n".join(
        "".join(c for c in line if c == "\t" or c.isprintable()) for text in lines for line in text.splitlines()
    )
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def _html(text: str) -> str:
    return inert(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
