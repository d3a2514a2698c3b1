"""The workloads every plan uses, read from the table of prompts that validation sends."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from typing import Any

from envcheck.resources import folder
from envcheck.schema.facts import Record


class Workload(Record):
    """One prompt of the validation, as a report speaks of it."""

    id: str
    kind: str
    text: str
    max_tokens: int
    prompt_tokens: int
    """About how many tokens the prompt has, its document included: a quarter of its characters (assumed)."""
    tells: str
    cannot_tell: str = ""


@lru_cache(maxsize=1)
def workloads() -> tuple[Workload, ...]:
    """The prompts of `requirements_matrix/prompts.toml`, in the order they are sent."""
    with (folder("requirements_matrix") / "prompts.toml").open("rb") as file:
        rows: list[dict[str, Any]] = tomllib.load(file)["row"]
    return tuple(
        Workload(
            id=row["id"],
            kind=row["kind"],
            text=_shown(row.get("prompt") or row["completion"], row.get("document", "")),
            max_tokens=row["max_tokens"],
            prompt_tokens=_length(row) // 4,
            tells=row.get("tells", ""),
            cannot_tell=row.get("cannot_tell", ""),
        )
        for row in rows
        if "needs" not in row and ("prompt" in row or "completion" in row)  # one turn, and every model can be asked
    )


class PromptSettings(Record):
    """What all prompts are sent with."""

    seed: str
    temperature: str


@lru_cache(maxsize=1)
def prompt_settings() -> PromptSettings:
    """The settings of `requirements_matrix/prompts.toml`."""
    with (folder("requirements_matrix") / "prompts.toml").open("rb") as file:
        found = tomllib.load(file)["settings"]
    return PromptSettings(seed=str(found["seed"]), temperature=f"{found['temperature']:g}")


def _length(row: dict[str, Any]) -> int:
    document = row.get("document", "")
    text = (folder("requirements_matrix") / document).read_text(encoding="utf-8") if document else ""
    return len(row.get("prompt") or row["completion"]) + len(text)


def _shown(text: str, document: str) -> str:
    return " ".join(text.replace("{document}", f"[{document}]").split())
