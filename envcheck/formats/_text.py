"""Text on a terminal: width as it is seen, wrapping, inert control characters, marks and colours."""

from __future__ import annotations

import re
from unicodedata import combining, east_asian_width

from envcheck.schema.blocks import Mark
from envcheck.schema.format import Style

MARKS: dict[Mark, str] = {"good": "✔", "caution": "▲", "bad": "✘", "unknown": "?", "skipped": "-"}
ASCII_MARKS: dict[Mark, str] = {"good": "+", "caution": "!", "bad": "x", "unknown": "?", "skipped": "-"}
_COLOURS: dict[str, str] = {
    "good": "32",
    "caution": "33",
    "bad": "31",
    "unknown": "35",
    "skipped": "2",
    "bold": "1",
    "dim": "2",
}
_ASCII = str.maketrans(
    {
        "·": "|",
        "–": "-",
        "—": "-",
        "×": "x",
        "≥": ">=",
        "≤": "<=",
        "…": "...",
        "→": "->",
        "≈": "~",
        "’": "'",
        "“": '"',
        "”": '"',
        "±": "+-",
        " ": " ",
        "│": "|",
        "─": "-",
    }
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
MIN_WIDTH = 20


def inert(text: str) -> str:
    """One line without control characters: no ANSI escape, line feed or bidirectional override from data survives."""
    return " ".join(_CONTROL.sub(" ", text).split())


def shown(text: str, style: Style) -> str:
    """`text` in what the stream can carry: unchanged, or ASCII with look-alikes and `?` for the rest."""
    if style.unicode:
        return text
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def mark(kind: Mark, style: Style) -> str:
    """The sign of a state, one column wide, coloured where colour is on."""
    return paint((MARKS if style.unicode else ASCII_MARKS)[kind], kind, style)


def paint(text: str, colour: str, style: Style) -> str:
    """`text` in a colour or weight; unchanged where colour is off."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if style.colour and text else text


def width_of(text: str) -> int:
    """Columns `text` takes: wide East Asian characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, width: int) -> str:
    """`text` filled with blanks to `width` columns; longer text is left as it is."""
    return text + " " * max(width - width_of(text), 0)


def wrap(text: str, width: int) -> list[str]:
    """Break at blanks; a word wider than a line is cut, so that no line is ever longer than `width`."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        for piece in _pieces(word, width):
            if not line:
                line = piece
            elif width_of(line) + 1 + width_of(piece) <= width:
                line += f" {piece}"
            else:
                lines.append(line)
                line = piece
    return [*lines, line] if line or not lines else lines


def _pieces(word: str, width: int) -> list[str]:
    if width_of(word) <= width:
        return [word]
    pieces, piece, used = [], "", 0
    for char in word:
        wide = width_of(char)
        if used + wide > width and piece:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + char, used + wide
    return [*pieces, piece]


def indented(text: str, first: str, style: Style, *, rest: str | None = None) -> list[str]:
    """`text` wrapped behind the prefix `first`; following lines start with `rest` (default: blanks of its width)."""
    rest = " " * width_of(first) if rest is None else rest
    width = max(max(style.width, MIN_WIDTH) - max(width_of(first), width_of(rest)), 8)
    lines = wrap(shown(inert(text), style), width)
    return [first + lines[0], *(rest + line for line in lines[1:])]
