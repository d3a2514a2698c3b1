"""Markdown, read back by a GFM parser: tables keep their columns, links resolve, nothing of the data is alive."""

from __future__ import annotations

import csv
import io
import json
import re
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import fromstring

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from envcheck.compose.checked import check_document
from envcheck.compose.report import compose
from envcheck.formats import render
from envcheck.formats._markdown import block, code_span, escaped, fenced
from envcheck.schema.blocks import Cell, Column, Part, Points, Table
from envcheck.schema.report import Header, Report, Subject
from envcheck.schema.run import Validation
from tests.compose.fixtures import small_run, titan_fits, titan_judgement, titan_v, verdict

HOSTILE = [
    "a|b",
    "line\nbreak | and\r\nmore",
    "`code` and ``two``",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "https://evil.example/track",
    "www.evil.example",
    "</details><h1>owned</h1>",
    "**bold** _it_ ~~s~~",
    "| --- | --- |",
    "\\| \\\\| \\",
    "# heading",
    "1. one",
    "&lt;b&gt; &#x3c;",
    "$\\mathrm{x}$",
    "\x1b[31mred\x00",
    "@everyone #1",
    "-----",
    "```",
    "<!-- hidden",
    "",
]


def parsed(text: str) -> list[Token]:
    """Tokens of a GitHub-like parser, with HTML recognised and bare addresses not linked."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)


def inline(tokens: list[Token]) -> list[Token]:
    """All inline tokens."""
    return [child for token in tokens for child in token.children or []]


def ours(html: str) -> bool:
    """Whether a piece of HTML is one that the format itself writes."""
    tags = re.findall(r"<[^>]*>?", html)
    known = r"</?details>|</?summary>|<a id=\"[a-z0-9-]+\">|</a>"
    return all(re.fullmatch(known, tag) for tag in tags) and "<!--" not in html


def column_counts(tokens: list[Token]) -> list[list[int]]:
    """Per table, the cells of each row."""
    tables: list[list[int]] = []
    for token in tokens:
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append(0)
        elif token.type in ("td_open", "th_open"):
            tables[-1][-1] += 1
    return tables


def make(name: str = "NVIDIA TITAN V", answer: str = "fine") -> Report:
    """A report with a GPU name, model names, a verdict's words, an engine's error and an answer from outside."""
    machine = titan_v()
    gpu = msgspec.structs.replace(
        machine.nvidia.gpus.value[0],  # type: ignore[union-attr]
        name=msgspec.structs.replace(machine.nvidia.gpus.value[0].name, value=name),  # type: ignore[union-attr]
    )
    nvidia = msgspec.structs.replace(machine.nvidia, gpus=msgspec.structs.replace(machine.nvidia.gpus, value=(gpu,)))
    judgement = titan_judgement()
    spoken = verdict("vllm.words", "not_met", says=answer, expected=answer, actual=answer, skipped_because=None)
    judgement = msgspec.structs.replace(judgement, verdicts=(*judgement.verdicts, spoken))
    fits = tuple(
        msgspec.structs.replace(fit, model=name, command=f"llama-server -m {name}", assumptions=(answer,))
        for fit in titan_fits()
    )
    said = small_run(is_fallback=False).prompts
    prompts = (
        msgspec.structs.replace(said[0], answer_text=answer, why=answer),
        msgspec.structs.replace(said[2], error=answer),
    )
    run = small_run(model=name, why=answer, engine=name, prompts=prompts, settings={"model": name}, url="")
    subject = Subject(
        snapshot=msgspec.structs.replace(machine, nvidia=nvidia),
        judgement=judgement,
        fits=fits,
        alternatives=fits,
        validation=Validation(runs=(run,)),
    )
    return compose(subject, Header(timestamp="2026-11-21T04:00:00Z", sprint=answer, agent=name))


def check_inert(text: str) -> None:
    """Whatever the data was: only our HTML, no image, links only to https or to this document, equal columns."""
    tokens = parsed(text)
    for token in [*tokens, *inline(tokens)]:
        if token.type in ("html_block", "html_inline"):
            assert ours(token.content), token.content
        assert token.type != "image"
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(("https://", "#"))
    for counts in column_counts(tokens):
        assert len(set(counts)) == 1
    assert "\x1b" not in text


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_words_are_inert_everywhere(evil: str) -> None:
    report = make(evil, evil)
    text = render(report, "markdown")
    check_inert(text)
    plain = parsed(render(make(), "markdown"))
    assert [t.type for t in parsed(text) if t.type.startswith("heading")] == [
        t.type for t in plain if t.type.startswith("heading")
    ]


@pytest.mark.parametrize("evil", HOSTILE)
@pytest.mark.parametrize("name", ["console", "csv", "junit", "sarif", "prometheus", "intoto", "github", "json"])
def test_hostile_words_stay_words_in_every_format(name: str, evil: str) -> None:
    text = render(make(evil, evil), name)
    assert not set(text) & set("\x1b\x00\x07\u202e"), "no control character reaches a terminal or a log"
    if name == "junit":
        assert [e.tag for e in fromstring(text).iter()] == [e.tag for e in fromstring(render(make(), name)).iter()]
    elif name == "csv":
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert {len(row) for row in rows} == {len(rows[0])}
        assert not any(
            cell[:1] in ("=", "+", "-", "@", "\t", "\r") for row in rows for cell in row if not _number(cell)
        )
    elif name in ("sarif", "intoto", "json"):
        json.loads(text)
    elif name == "prometheus":
        assert all(re.fullmatch(r"(#.*|[a-z_]+\{.*\} \S+)", line) for line in text.splitlines())


def _number(cell: str) -> bool:
    return bool(re.fullmatch(r"-?[\d.e+-]+", cell))


@given(evil=st.text(alphabet="|`\\<>*_[]()#&;~$!-= \n\tab1.@:/hltg", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_cell_reads_back_as_its_words(evil: str) -> None:
    item = Table(
        caption="t",
        columns=(Column(title="a"), Column(title=evil)),
        rows=((Cell(text=evil), Cell(text=evil, code=True)), (Cell(text="x"), Cell(text="y"))),
    )
    tokens = parsed(block(item, 3))
    assert column_counts(tokens) == [[2, 2, 2]]
    said = [_text(token) for token in tokens if token.type == "inline"]
    wanted = " ".join(evil.split())
    assert _bare(said[2]) == _bare(wanted)
    assert _bare(said[3]) == _bare(wanted)


def _text(token: Token) -> str:
    return "".join(child.content for child in token.children or [])


def _bare(text: str) -> str:
    return text.replace("\u2060", "").replace(" ", "")


@given(evil=st.text(alphabet="`~\n #-abc\x1b", max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_command_block_never_ends_early(evil: str) -> None:
    tokens = parsed(fenced((evil, "last line"), "bash") + "\n\nafter\n")
    fences = [token for token in tokens if token.type == "fence"]
    assert len(fences) == 1
    assert "last line" in fences[0].content
    assert tokens[-2].content == "after"


def test_paragraph_text_never_starts_a_block() -> None:
    for evil in ("# x", "- x", "+ x", "* x", "1. x", "1) x", "> x", "---", "===", "    x", "```", "| a |"):
        kinds = [token.type for token in parsed(escaped(evil))]
        assert kinds == ["paragraph_open", "inline", "paragraph_close"], evil


def test_code_spans_hold_backticks() -> None:
    tokens = inline(parsed(code_span("a `b` ``c``")))
    assert [(t.type, t.content) for t in tokens if t.type == "code_inline"] == [("code_inline", "a `b` ``c``")]


def test_every_inner_link_has_its_target_once() -> None:
    text = render(make(), "markdown")
    ids = re.findall(r'<a id="([^"]+)">', text)
    assert len(ids) == len(set(ids))
    links: list[Any] = [t.attrs["href"] for t in inline(parsed(text)) if t.type == "link_open"]
    inner = {str(link)[1:] for link in links if str(link).startswith("#")}
    assert inner
    assert inner <= set(ids)


def test_one_top_heading_then_no_level_is_skipped() -> None:
    levels = [int(t.tag[1]) for t in parsed(render(make(), "markdown")) if t.type == "heading_open"]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_check_document_is_markdown_too() -> None:
    text = render(check_document(titan_v(), titan_judgement(), titan_fits()), "markdown")
    check_inert(text)
    for verdict_id in (v.id for v in titan_judgement().verdicts):
        assert f"`{verdict_id}`" in text


def test_a_report_file_from_elsewhere_cannot_smuggle_markup() -> None:
    report = make()
    evil = '"><script>alert(1)</script>'
    section = report.sections[0]
    part = Part(id=evil, title=evil, blocks=(Points(items=(Cell(text=evil, link="javascript:alert(1)"),)),))
    section = msgspec.structs.replace(section, id=evil, title=evil, blocks=(*section.blocks, part))
    changed = msgspec.structs.replace(report, sections=(section, *report.sections[1:]))
    check_inert(render(changed, "markdown"))
    check_inert(render(changed, "github"))
