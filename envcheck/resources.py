"""Where the data folders are: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from envcheck.schema.errors import EnvcheckError

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """The folder `name` ("requirements_matrix", "install", "templates").

    A checkout wins over installed data so that an edited row is the row that is used.
    """
    beside = _PACKAGE.parent
    if (beside / "pyproject.toml").is_file() and (beside / name).is_dir():
        return beside / name
    inside = _PACKAGE / "_data" / name
    if inside.is_dir():
        return inside
    raise EnvcheckError(f"The data folder {name!r} is missing from this installation: reinstall llm-envcheck.")
