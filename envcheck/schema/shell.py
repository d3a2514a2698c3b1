"""Argument lists as lines that a person can paste into the shell of a machine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

_QUOTES = "'\u2018\u2019\u201a\u201b"
"""What PowerShell takes for a single quote (about_Quoting_Rules)."""


def command_line(argv: Sequence[str], family: str | None = None) -> str:
    """An argument list as one line for the machine's shell: PowerShell on Windows, else POSIX."""
    if family != "windows":
        return shlex.join(argv)
    words = [_powershell(word) for word in argv]
    # A quoted word at the start is a text to PowerShell, and not a command, unless it is called.
    return " ".join(["& " + words[0] if words[0] != argv[0] else words[0], *words[1:]])


def _powershell(word: str) -> str:
    plain = all(char.isalnum() or char in "-_./:=+\\" for char in word)
    # "-name.rest" without quotes reaches a program as two words.
    split = word.startswith("-") and ("." in word or ":" in word)
    if word and plain and not split:
        return word
    return "'" + "".join(char * 2 if char in _QUOTES else char for char in word) + "'"
