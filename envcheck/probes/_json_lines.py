"""What a child said: one JSON object a line, of which the last may be cut."""

from __future__ import annotations

from typing import Any

MOST_LINES = 2000


def decoded(printed: str) -> list[Any]:
    """The lines that are JSON; a child that was killed while it wrote leaves one that is not."""
    import msgspec

    lines = []
    for line in printed.splitlines()[:MOST_LINES]:
        try:
            lines.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            continue
    return lines
