"""Rows of `requirements_matrix/causes/<cause>.toml`: what programs print when they meet a cause, and what helps."""

from __future__ import annotations

from envcheck.schema.facts import Record
from envcheck.schema.requirement import Sourced
from envcheck.schema.verdict import Confidence, Remedy, Severity


class Sign(Record):
    """One line a program prints when it meets a cause.

    `has` is a lower-case substring that must be in the line; `matches` (searched in that line only, without regard to
    case) narrows it; a line that holds one of `unless` says something else.
    """

    has: str
    says: str
    matches: str = ""
    unless: tuple[str, ...] = ()
    severity: Severity = "blocker"
    confidence: Confidence = "certain"


class CauseFile(Record):
    """One cause: where its wordings come from, when they were last looked at, what helps, and its signs."""

    checked: str
    remedy: Remedy
    sources: tuple[str, ...] = ()
    sign: tuple[Sign, ...] = ()


class Image(Sourced):
    """The CUDA level of a range of tags of one container image."""

    name: str
    versions: str
    cuda: str


class Images(Record):
    """`images.toml`."""

    image: tuple[Image, ...]
