"""HTML, read back by a parser: one file, inert data, resolvable links, enough contrast, labelled charts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.compose.checked import check_document
from envcheck.compose.report import compose
from envcheck.formats import render
from envcheck.formats._plots import draw
from envcheck.formats._text import inert
from envcheck.resources import folder
from envcheck.schema.blocks import Band, Bands, Bar, Bars, Block, Fold, Paragraph, Span, Timeline
from envcheck.schema.errors import InputError
from tests.compose.fixtures import HEADER, titan_fits, titan_judgement, titan_subject, titan_v
from tests.formats.test_markdown import HOSTILE, make

VOID = {"meta", "link", "br", "hr", "img", "input", "rect", "line", "circle"}


class Page(HTMLParser):
    """Elements with their attributes, and whether every one was closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    """The report about the TITAN V machine."""
    return Page(render(compose(titan_subject(), HEADER), "html"))


def skeleton(page: Page) -> list[tuple[str, tuple[str, ...]]]:
    """Elements and the names of their attributes: what data must not be able to change."""
    return [(tag, tuple(attrs)) for tag, attrs in page.elements if tag not in ("a", "code")]


def test_every_element_is_closed_and_ids_are_unique(page: Page) -> None:
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    for tag, attrs in page.elements:
        assert "src" not in attrs
        assert "style" not in attrs
        assert not any(name.startswith("on") for name in attrs)
        if tag == "link":
            assert attrs["href"] == "data:,"
    policy = next(attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    style = (folder("templates") / "report.css").read_text(encoding="utf-8")
    assert "url(" not in style
    assert "@import" not in style


def test_links_go_to_https_or_to_an_id_of_the_page(page: Page) -> None:
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    assert links
    for link in links:
        assert link.startswith("https://") or link.removeprefix("#") in ids


def test_a_screen_reader_finds_its_way(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert ("html", {"lang": "en"}) in page.elements
    assert tags.count("h1") == tags.count("main") == 1
    assert tags.count("caption") == tags.count("table")
    assert all("scope" in attrs for tag, attrs in page.elements if tag == "th")
    charts = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert charts
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in charts)
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_words_change_no_element(evil: str) -> None:
    assert skeleton(Page(render(make(evil, evil), "html"))) == skeleton(
        Page(render(make("x" if evil else "", "x" if inert(evil) else ""), "html"))
    )


def test_the_check_document_is_a_page_too() -> None:
    page = Page(render(check_document(titan_v(), titan_judgement(), titan_fits()), "html"))
    assert page.open == []
    assert "vllm.gpu.compute_capability" in "".join(page.text)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_has_enough_contrast_in_every_theme() -> None:
    style = Path(folder("templates") / "report.css").read_text(encoding="utf-8")
    themes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for block in re.findall(r"\{([^{}]*--paper:[^{}]*)\}", style)
    ]
    assert len(themes) == 4
    for theme in themes:
        for name in ("ink", "quiet", "link", "good", "caution", "bad", "unknown", "skipped"):
            for ground in ("paper", "band"):
                assert contrast(theme[name], theme[ground]) >= 4.5, (name, ground)


figures = st.floats(0, 1e6, allow_nan=False)


@given(
    values=st.lists(st.tuples(figures, figures, figures, figures | st.none()), max_size=70), words=st.text(max_size=60)
)
@settings(max_examples=60, deadline=None)
def test_charts_are_well_formed_for_any_figures(
    values: list[tuple[float, float, float, float | None]], words: str
) -> None:
    bars = tuple(Bar(label=words, value=v, low=lo, high=hi, limit=limit) for v, lo, hi, limit in values)
    bands = tuple(Band(label=words, low=lo, value=v, high=hi, measured=m) for v, lo, hi, m in values)
    spans = tuple(Span(label=words, start=min(a, b), end=max(a, b)) for a, b, _, _ in values)
    for chart in (
        Bars(title=words, unit="GiB", says=words, bars=bars),
        Bands(title=words, unit="tokens/s", says=words, bands=bands),
        Timeline(title=words, says=words, spans=spans),
    ):
        page = Page(draw(chart))
        assert page.open == []
        for _, attrs in page.elements:
            for name in ("x", "y", "x1", "x2", "width"):
                if name in attrs:
                    assert float(attrs[name].rstrip("%")) >= 0


@pytest.mark.parametrize("name", ["html", "markdown"])
def test_a_document_nested_without_end_is_refused_in_one_sentence(name: str) -> None:
    inner: Block = Paragraph(text="at last")
    for _ in range(5000):
        inner = Fold(title="more", blocks=(inner,))
    report = make()
    section = msgspec.structs.replace(report.sections[0], blocks=(inner,))
    with pytest.raises(InputError, match="nested too deeply"):
        render(msgspec.structs.replace(report, sections=(section,)), name)
