"""The failures a user may meet, each with its documented exit code."""

from __future__ import annotations


class EnvcheckError(Exception):
    """envcheck itself failed; the message is one sentence that says what, where and what to do."""

    exit_code = 4


class InputError(EnvcheckError):
    """Something the user gave (option, file, name) cannot be used."""

    exit_code = 2


class UnmetError(EnvcheckError):
    """What was asked for cannot be had on the machine it is for; the message says why, and the way out."""

    exit_code = 1
