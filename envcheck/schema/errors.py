"""The failures a user may meet, each with the exit code it leads to (design contract: 0 met, 1 not met, 2 input, 3 unknown, 4 envcheck)."""

from __future__ import annotations


class EnvcheckError(Exception):
    """envcheck itself failed; the message is one sentence that says what, where and what to do."""

    exit_code = 4


class InputError(EnvcheckError):
    """Something the user gave (option, file, name) cannot be used."""

    exit_code = 2
