"""The README's picture is what the console says today, and loads nothing."""

from __future__ import annotations

from tests.formats.picture import PICTURE, picture


def test_the_picture_is_up_to_date() -> None:
    drawn = picture()
    assert PICTURE.read_text(encoding="utf-8") == drawn, "run: python -m tests.formats.picture"
    assert "url(" not in drawn.replace("url(#", "")
    assert "@font-face" not in drawn
