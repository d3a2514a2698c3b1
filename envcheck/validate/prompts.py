"""The prompts that prove a backend, read from `requirements_matrix/prompts.toml`; a bad row names itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from envcheck import resources
from envcheck.schema.backend import Message, Request
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record

Judge = Literal["starts_with", "states", "duration", "python_sort", "summary"]


class Row(Record):
    """One prompt with its judgement; fields as the file's head explains them."""

    id: str
    kind: str
    max_tokens: int
    judge: Judge
    tells: str
    cannot_tell: str
    source: str
    checked: str
    prompt: str = ""
    completion: str = ""
    document: str = ""
    required: bool = False
    """A wrong answer here means that the environment computes nonsense, not that the model is weak."""
    accept: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    minutes: int = 0
    points: tuple[tuple[str, ...], ...] = ()
    points_needed: int = 0
    sentences_most: int = 0
    """Sentences of a summary that still pass; 0: any number."""


class Settings(Record):
    """How every prompt is sampled."""

    temperature: float
    seed: int
    source: str
    checked: str


class Refusals(Record):
    """Openings of an answer that declines."""

    openings: tuple[str, ...]
    source: str
    checked: str


class PromptSet(Record):
    """Everything in the file, with the documents' texts."""

    settings: Settings
    refusals: Refusals
    row: tuple[Row, ...]
    documents: dict[str, str] = msgspec.field(default_factory=dict)

    def request(self, row: Row) -> Request:
        """What is sent for a row."""
        if row.completion:
            messages: tuple[Message, ...] = ()
        else:
            text = row.prompt.replace("{document}", self.documents.get(row.document, ""))
            messages = (Message(role="user", content=text),)
        return Request(
            id=row.id,
            messages=messages,
            completion=row.completion or None,
            max_tokens=row.max_tokens,
            temperature=self.settings.temperature,
            seed=self.settings.seed,
        )


@cache
def load(path: Path | None = None) -> PromptSet:
    """The prompt set that ships with envcheck, or the one at `path`. Raises EnvcheckError naming file and reason."""
    path = path or resources.folder("requirements_matrix") / "prompts.toml"
    try:
        prompts = msgspec.toml.decode(path.read_bytes(), type=PromptSet)
        documents = {
            row.document: (path.parent / row.document).read_text("utf-8") for row in prompts.row if row.document
        }
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise EnvcheckError(f"The prompts in {path.name} cannot be used: {error}.") from error
    for row in prompts.row:
        if bool(row.prompt) == bool(row.completion):
            raise EnvcheckError(f"{path.name}: row {row.id!r} needs either `prompt` or `completion`.")
    return msgspec.structs.replace(prompts, documents=documents)
