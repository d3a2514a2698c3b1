"""Argument lists as lines for a person's shell: what is pasted must reach the program as it was meant."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.schema.shell import command_line

WORDS = st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12), min_size=1, max_size=5)


def powershell(line: str) -> list[str]:
    """The words that PowerShell passes on (about_Parsing, about_Quoting_Rules): quotes doubled inside quotes."""
    words, word, quoted, started = [], "", False, False
    letters = iter(line.removeprefix("& ") + " ")
    for letter in letters:
        if letter in "'\u2018\u2019\u201a\u201b":
            started, following = True, None
            if quoted:
                following = next(letters)
                if following in "'\u2018\u2019\u201a\u201b":
                    word += letter
                    continue
                quoted = False
            else:
                quoted = True
                continue
            letter = following
        if quoted:
            word += letter
        elif letter == " ":
            words += [word] if word or started else []
            word, started = "", False
        else:
            assert letter not in '"`$;|&<>(){}@#,%!?*[]\n\t', f"{letter!r} means something to PowerShell in {line}"
            word += letter
    return words


@settings(max_examples=300, deadline=None)
@given(words=WORDS)
def test_powershell_passes_on_what_was_meant(words: list[str]) -> None:
    assert powershell(command_line(words, "windows")) == words


@settings(max_examples=200, deadline=None)
@given(words=WORDS)
def test_a_posix_shell_passes_on_what_was_meant(words: list[str]) -> None:
    assert shlex.split(command_line(words)) == words


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("uv", "pip", "install", "accelerate>=1.0"), "uv pip install 'accelerate>=1.0'"),
        (("uv", "venv", "C:\\my env"), "uv venv 'C:\\my env'"),
        (("C:\\my env\\python.exe", "-I"), "& 'C:\\my env\\python.exe' -I"),
        (("x", "-foo.bar"), "x '-foo.bar'"),
        (("x", "it's"), "x 'it''s'"),
    ],
)
def test_lines_for_powershell(words: tuple[str, ...], line: str) -> None:
    assert command_line(words, "windows") == line
