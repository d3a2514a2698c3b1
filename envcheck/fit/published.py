"""Which published repository holds a model in a quantized form, so that a command names one that exists."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache

import msgspec

from envcheck.fit.model_names import quantization_in
from envcheck.resources import folder
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.tables import Checkpoints

_FORMAT = re.compile(r"[-_.](?:awq|gptq).*", re.IGNORECASE)
"""Where the name of the model ends and that of the format begins."""


def quantized(repo: str, quant: str) -> str | None:
    """The repository of the model `repo` in `quant` ("awq", "gptq-int4" …); None where none is known."""
    return _index().get((_stem(repo), quant))


@lru_cache(maxsize=1)
def _index() -> dict[tuple[str, str], str]:
    path = folder("requirements_matrix") / "quantized_checkpoints.toml"
    try:
        rows = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Checkpoints).published
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise EnvcheckError(f"{path.name} cannot be read: {error}") from error
    found: dict[tuple[str, str], str] = {}
    for repo in (repo for row in rows for repo in row.repos):
        found.setdefault((_stem(repo), quantization_in(repo) or ""), repo)
    return found


@lru_cache(maxsize=64)
def _stem(repo: str) -> str:
    """The model's own name: Meta's first names began with "Meta-", which later copies left out."""
    return _FORMAT.sub("", repo.rpartition("/")[2]).lower().removeprefix("meta-")
