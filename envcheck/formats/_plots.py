"""Charts as inline SVG: no script, no font, no address; colours come from the page's style."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, log10
from xml.sax.saxutils import escape, quoteattr

from envcheck.formats._text import inert, width_of
from envcheck.schema.blocks import Bands, Bars, Timeline

_WIDTH, _ROW, _TOP, _AXIS = 860, 26, 8, 26
_MAX_ROWS = 60
"""More rows than this do not help anyone; the table beside the chart has them all."""


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
    """Elements collected on a common scale, rows from top to bottom."""

    def __init__(self, labels: list[str], most: float, unit: str) -> None:
        self.labels = [_short(label) for label in labels]
        self.left = min(max((width_of(label) for label in self.labels), default=0) * 7 + 16, 330)
        self.most = most if most > 0 else 1.0
        self.unit = unit
        self.parts: list[str] = []

    def x(self, value: float) -> float:
        """Horizontal place of a value, pixels."""
        return round(self.left + value / self.most * (_WIDTH - self.left - 70), 1)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self.parts.append(f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>')

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        self.parts.append(f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(inert(words))}</text>')

    def box(self, start: float, end: float, y: float, height: float, kind: str) -> None:
        left, right = self.x(start), self.x(end)
        self.parts.append(
            f'<rect class="bar {kind}" x="{left}" y="{y}" width="{max(right - left, 1):.1f}" height="{height}" rx="2"/>'
        )

    def finished(self, title: str, says: str) -> str:
        """The axis below, the labels on the left, and the element around everything."""
        bottom = _TOP + _ROW * len(self.labels)
        for step in _ticks(self.most):
            self.parts.insert(
                0, f'<line class="axis" x1="{self.x(step)}" y1="{_TOP}" x2="{self.x(step)}" y2="{bottom}"/>'
            )
            self.text(self.x(step), bottom + 17, f"{step:g}", "quiet", "middle")
        self.text(_WIDTH - 4, bottom + 17, self.unit, "quiet", "end")
        for number, label in enumerate(self.labels):
            self.text(self.left - 8, _TOP + _ROW * number + 17, label, anchor="end")
        height = bottom + _AXIS
        return (
            f'<svg role="img" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
            f"aria-label={quoteattr(inert(f'{title}. {says}'))}>{''.join(self.parts)}</svg>"
        )


def _bars(item: Bars) -> str:
    bars = item.bars[:_MAX_ROWS]
    sheet = _Sheet([bar.label for bar in bars], max((max(b.high, b.limit or 0) for b in bars), default=1), item.unit)
    for number, bar in enumerate(bars):
        y = _TOP + _ROW * number
        sheet.box(0, bar.value, y + 5, 15, bar.mark or "")
        sheet.line(sheet.x(bar.low), y + 12.5, sheet.x(bar.high), y + 12.5, "range")
        if bar.limit is not None:
            sheet.line(sheet.x(bar.limit), y + 1, sheet.x(bar.limit), y + _ROW - 1, "limit")
        sheet.text(sheet.x(max(bar.high, bar.limit or 0)) + 6, y + 17, f"{bar.value:.1f}", "quiet")
    return sheet.finished(item.title, f"{item.says} The dashed line is what is available.")


def _bands(item: Bands) -> str:
    bands = item.bands[:_MAX_ROWS]
    sheet = _Sheet(
        [band.label for band in bands], max((max(b.high, b.measured or 0) for b in bands), default=1), item.unit
    )
    for number, band in enumerate(bands):
        y = _TOP + _ROW * number
        sheet.box(band.low, band.high, y + 7, 11, "")
        sheet.line(sheet.x(band.value), y + 4, sheet.x(band.value), y + 21, "range")
        if band.measured is not None:
            sheet.parts.append(f'<circle class="measured" cx="{sheet.x(band.measured)}" cy="{y + 12.5}" r="5"/>')
        sheet.text(sheet.x(max(band.high, band.measured or 0)) + 8, y + 17, f"{band.value:.0f}", "quiet")
    dots = " Dots are measured." if any(band.measured is not None for band in bands) else ""
    return sheet.finished(item.title, f"{item.says}{dots}")


def _timeline(item: Timeline) -> str:
    spans = item.spans[:_MAX_ROWS]
    sheet = _Sheet([span.label for span in spans], max((span.end for span in spans), default=1), "s")
    for number, span in enumerate(spans):
        y = _TOP + _ROW * number
        sheet.box(span.start, span.end, y + 5, 15, span.mark or "")
        sheet.text(sheet.x(span.end) + 6, y + 17, f"{span.end - span.start:.2f}", "quiet")
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
