"""The prompts that prove a backend, read from `requirements_matrix/prompts.toml`; a bad row names itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from envcheck import resources
from envcheck.backends._picture import plain_png
from envcheck.schema.backend import Ability, Message, Request, Tool
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record

Judge = Literal["starts_with", "states", "duration", "python_sort", "summary", "tool_call", "closer"]


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
    turns: tuple[str, ...] = ()
    """What the user says turn after turn; the answer to the last is judged."""
    texts: tuple[str, ...] = ()
    """Three texts to embed: the first two mean the same, the third something else."""
    needs: Ability = "text"
    """Sent only to models that claim it."""
    tool: Tool | None = None
    arguments: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """What the call must name: one of the words, in lower case, for each argument."""
    picture: tuple[int, int, int] | None = None
    """Red, green and blue of a picture of one colour that is shown with the prompt."""
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
        """What is sent for a row; of several turns the first."""
        if row.completion:
            messages: tuple[Message, ...] = ()
        else:
            text = (row.turns or (row.prompt,))[0].replace("{document}", self.documents.get(row.document, ""))
            png = plain_png(*row.picture) if row.picture else b""
            messages = (Message(role="user", content=text, png=png),)
        return Request(
            id=row.id,
            messages=messages,
            completion=row.completion or None,
            max_tokens=row.max_tokens,
            temperature=self.settings.temperature,
            seed=self.settings.seed,
            tools=(row.tool,) if row.tool else (),
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
        if sum(map(bool, (row.prompt, row.completion, row.turns, row.texts))) != 1:
            raise EnvcheckError(f"{path.name}: row {row.id!r} needs either `prompt`, `completion`, `turns` or `texts`.")
        if (row.judge == "closer") != (len(row.texts) == 3) or (row.judge == "tool_call") != (row.tool is not None):
            raise EnvcheckError(f"{path.name}: row {row.id!r} is judged by {row.judge!r}, which its fields do not fit.")
    return msgspec.structs.replace(prompts, documents=documents)
