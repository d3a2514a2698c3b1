"""Which parts of a published checkpoint are in which format, where its publisher is known to shrink some parts only.

The recipes are `requirements_matrix/checkpoints.toml`: read from the quantization sections of published checkpoints.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache

import msgspec

from envcheck.resources import folder
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.model import ModelFacts
from envcheck.schema.tables import Recipe, Recipes


@lru_cache(maxsize=1)
def recipes() -> tuple[Recipe, ...]:
    """Every recipe, in the order they are tried. Raises EnvcheckError for a table that is not of this form."""
    path = folder("requirements_matrix") / "checkpoints.toml"
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Recipes).recipe
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise EnvcheckError(f"{path.name} cannot be read: {error}") from error


def owner(name: str) -> str:
    """The owner in a repository's name, lower case ("nvidia" of "nvidia/Qwen3.6-27B-NVFP4"); "" of other names."""
    text = name.strip().replace("\\", "/").strip("/")
    before, _, after = text.partition("/")
    return before.lower() if after and "/" not in after and not text.startswith((".", "~")) else ""


@lru_cache(maxsize=1024)
def recipe(facts: ModelFacts, scheme: str, publisher: str) -> Recipe | None:
    """The recipe of this publisher for this model in this scheme; None where none is known."""
    for row in recipes():
        if row.scheme != scheme or publisher not in row.publishers:
            continue
        if row.architectures and facts.architecture not in row.architectures:
            continue
        if not row.models or facts.name in row.models:
            return row
    return None
