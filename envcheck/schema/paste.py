"""A text somebody pasted: cleaned once, numbered from 1, and searched without ever backtracking over the whole of it.

Terminal escapes, NULs and invisible characters are removed, over-long lines are cut, so nothing that a stranger
wrote can
move a cursor, hide a word or make a pattern run for minutes. All searching starts from a plain substring; a regular
expression only ever sees the one (short) line that holds it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

MAX_LINE = 6_000
"""Characters kept of one line; the longest honest line in a report (CPU flags, NVIDIA_REQUIRE_CUDA) has about 4,000."""
MAX_HITS = 400
"""Occurrences of one substring that are looked at: a log that repeats an error more often says nothing new."""

NAMED = "named in the text"
"""Source of devices that somebody wrote down instead of a program: their number is not known."""

LARGE = 200_000
"""Characters from which on a paste gets an index of its words."""
_WORD = re.compile("[a-z_]+")
_DIGITS = re.compile("[0-9]+")

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;:?<=>!]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b\n]{0,512}(?:\x07|\x1b\\)?|[@-Z\\^_])")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]+"
)
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&"))


class Line(NamedTuple):
    """One line of the paste; `number` counts from 1."""

    number: int
    text: str


def clean(text: str) -> list[str]:
    """The lines of `text` without escapes, invisible characters and HTML entities, each at most `MAX_LINE` long."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0b", "\n").replace("\x0c", "\n")
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    text = _INVISIBLE.sub("", text)
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    text = text.replace("\uff1a", ":").replace("\u00a0", " ").replace("\t", "    ")
    return [line if len(line) <= MAX_LINE else line[:MAX_LINE] for line in text.split("\n")]


class Paste:
    """Cleaned lines with a fast case-insensitive substring search."""

    __slots__ = ("_found", "_lower", "_shapes", "_starts", "_words", "lines")

    def __init__(self, text: str) -> None:
        self.lines: tuple[str, ...] = tuple(clean(text))
        lower = [line.lower() for line in self.lines]
        self._lower = "\n".join(lower)
        self._starts = _starts(lower)
        self._found: dict[str, tuple[Line, ...]] = {}
        large = len(self._lower) > LARGE
        self._words = "\n".join(set(_WORD.findall(self._lower))) if large else None
        self._shapes = "\n".join(dict.fromkeys(_DIGITS.sub("0", self._lower).split("\n"))) if large else ""

    def __contains__(self, literal: str) -> bool:
        return self._may_hold(literal) and literal in self._lower

    def _may_hold(self, literal: str) -> bool:
        """False where a large paste cannot hold `literal`, found out in its distinct words and distinct lines.

        Both are far smaller than a long log, whose lines differ in nothing but their numbers.
        """
        words = self._words
        if words is None:
            return True
        return all(word in words for word in _WORD.findall(literal)) and _DIGITS.sub("0", literal) in self._shapes

    def having(self, literal: str) -> tuple[Line, ...]:
        """The lines that hold `literal` (lower case), in order, at most `MAX_HITS` of them."""
        found = self._found.get(literal)
        if found is None:
            found = tuple(self._search(literal)) if self._may_hold(literal) else ()
            self._found[literal] = found
        return found

    def matching(self, literal: str, pattern: str) -> Iterator[tuple[Line, re.Match[str]]]:
        """The lines that hold `literal` and match `pattern` (case-insensitive search within the line)."""
        for line in self.having(literal):
            match = compiled(pattern).search(line.text)
            if match:
                yield line, match

    def _search(self, literal: str) -> Iterator[Line]:
        position, hits = self._lower.find(literal), 0
        while position >= 0 and hits < MAX_HITS:
            index = bisect_right(self._starts, position) - 1
            yield Line(index + 1, self.lines[index])
            hits += 1
            following = self._starts[index + 1] if index + 1 < len(self._starts) else len(self._lower)
            position = self._lower.find(literal, following)


def _starts(lines: list[str]) -> list[int]:
    starts, position = [], 0
    for line in lines:
        starts.append(position)
        position += len(line) + 1
    return starts


@lru_cache(maxsize=2048)
def compiled(pattern: str) -> re.Pattern[str]:
    """`pattern`, compiled when first needed: most patterns never are."""
    return re.compile(pattern, re.IGNORECASE)
