"""Charts as inline SVG: no script, no font, no address; colours come from the page's style."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, log10
from xml.sax.saxutils import escape, quoteattr

from envcheck.formats._text import inert, width_of
from envcheck.schema.blocks import Bands, Bars, Timeline

_ROW, _TOP, _AXIS = 40, 4, 24
_MAX_ROWS = 60
"""More rows than this do not help anyone; the table beside the chart has them all."""
_ROOM = 86.0
"""Per cent of the width that the scale takes: the figures behind the longest bars need the rest."""


def draw(item: Bars | Bands | Timeline) -> str:
    """One chart as an `<svg>` element with a title and a description."""
    match item:
        case Bars():
            return _bars(item)
        case Bands():
            return _bands(item)
        case Timeline():
            return _timeline(item)


class _Sheet:
    """Elements collected on a common scale, rows from top to bottom, each label above its bar.

    Horizontal places are per cent of the width, so that a chart is as wide as the page and its words keep their size.
    """

    def __init__(self, labels: list[str], most: float, unit: str) -> None:
        self.labels = [_short(label) for label in labels]
        self.most = most if most > 0 else 1.0
        self.unit = unit
        self.parts: list[str] = []

    def x(self, value: float) -> float:
        """Horizontal place of a value, per cent."""
        return round(value / self.most * _ROOM, 2)

    def line(self, value: float, y1: float, other: float, y2: float, kind: str) -> None:
        ends = f'x1="{self.x(value)}%" y1="{y1}" x2="{self.x(other)}%" y2="{y2}"'
        self.parts.append(f'<line class="{kind}" {ends}/>')

    def text(self, x: str, y: float, words: str, kind: str = "", anchor: str = "start", dx: int = 0) -> None:
        place = f'x="{x}" y="{y}" dx="{dx}" text-anchor="{anchor}"'
        self.parts.append(f'<text class="{kind}" {place}>{escape(inert(words))}</text>')

    def behind(self, value: float, y: float, words: str) -> None:
        """A figure to the right of a value."""
        self.text(f"{self.x(value)}%", y, words, "quiet", dx=6)

    def box(self, start: float, end: float, y: float, height: float, kind: str) -> None:
        left, wide = self.x(start), max(round(self.x(end) - self.x(start), 2), 0.1)
        place = f'x="{left}%" y="{y}" width="{wide}%" height="{height}"'
        self.parts.append(f'<rect class="bar {kind}" {place} rx="2"/>')

    def finished(self, title: str, says: str) -> str:
        """The axis below, the labels above the bars, and the element around everything."""
        bottom = _TOP + _ROW * len(self.labels)
        for step in _ticks(self.most):
            place = f'x1="{self.x(step)}%" y1="{_TOP}" x2="{self.x(step)}%" y2="{bottom}"'
            self.parts.insert(0, f'<line class="axis" {place}/>')
            self.text(f"{self.x(step)}%", bottom + 16, f"{step:g}", "quiet", "middle" if step else "start")
        self.text("100%", bottom + 16, self.unit, "quiet", "end")
        for number, label in enumerate(self.labels):
            self.text("0", _TOP + _ROW * number + 14, label, dx=2)
        return (
            f'<svg role="img" width="100%" height="{bottom + _AXIS}" '
            f"aria-label={quoteattr(inert(f'{title}. {says}'))}>{''.join(self.parts)}</svg>"
        )


def _bars(item: Bars) -> str:
    bars = item.bars[:_MAX_ROWS]
    sheet = _Sheet([bar.label for bar in bars], max((max(b.high, b.limit or 0) for b in bars), default=1), item.unit)
    for number, bar in enumerate(bars):
        y = _TOP + _ROW * number + 20
        sheet.box(0, bar.value, y, 14, bar.mark or "")
        sheet.line(bar.low, y + 7, bar.high, y + 7, "range")
        if bar.limit is not None:
            sheet.line(bar.limit, y - 3, bar.limit, y + 17, "limit")
        sheet.behind(max(bar.high, bar.limit or 0), y + 11, f"{bar.value:.1f}")
    return sheet.finished(item.title, f"{item.says} The dashed line is what is available.")


def _bands(item: Bands) -> str:
    bands = item.bands[:_MAX_ROWS]
    sheet = _Sheet(
        [band.label for band in bands], max((max(b.high, b.measured or 0) for b in bands), default=1), item.unit
    )
    for number, band in enumerate(bands):
        y = _TOP + _ROW * number + 20
        sheet.box(band.low, band.high, y + 2, 10, "")
        sheet.line(band.value, y - 1, band.value, y + 15, "range")
        if band.measured is not None:
            place = f'cx="{sheet.x(band.measured)}%" cy="{y + 7}"'
            sheet.parts.append(f'<circle class="measured" {place} r="5"/>')
        sheet.behind(max(band.high, band.measured or 0), y + 11, f"{band.value:.0f}")
    dots = " Dots are measured." if any(band.measured is not None for band in bands) else ""
    return sheet.finished(item.title, f"{item.says}{dots}")


def _timeline(item: Timeline) -> str:
    spans = item.spans[:_MAX_ROWS]
    sheet = _Sheet([span.label for span in spans], max((span.end for span in spans), default=1), "s")
    for number, span in enumerate(spans):
        y = _TOP + _ROW * number + 20
        sheet.box(span.start, span.end, y, 14, span.mark or "")
        sheet.behind(span.end, y + 11, f"{span.end - span.start:.2f}")
    return sheet.finished(item.title, item.says)


def _short(label: str) -> str:
    text = inert(label)
    return text if width_of(text) <= 44 else text[:43] + "…"


def _ticks(most: float) -> Iterable[float]:
    """Four to nine round steps up to `most`, zero included; nothing that is shown is smaller than a millionth."""
    if most < 1e-6:
        return [0.0]
    size = 10 ** floor(log10(most))
    step = next((size * part for part in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if most / (size * part) <= 9), size)
    return [round(step * number, 10) for number in range(int(most / step + 1e-9) + 1)]
