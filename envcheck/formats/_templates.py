"""Jinja2 as formats use it: missing names are errors, the project's templates may be overridden file by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from envcheck.resources import folder
from envcheck.schema.errors import InputError
from envcheck.schema.format import Style


def environment(style: Style, finalize: Callable[[Any], Any] | None = None) -> Environment:
    """Templates from `style.templates` first, then the project's. Autoescape is on; undefined names raise.

    Sandboxed, because `--template DIR` may come from somewhere else than its user.
    """
    if style.templates is not None and not Path(style.templates).is_dir():
        raise InputError(f"The template folder {style.templates} does not exist or is no folder.")
    folders = [*([style.templates] if style.templates else []), str(folder("templates"))]
    loader: BaseLoader = FileSystemLoader(folders)
    return SandboxedEnvironment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, finalize=finalize,
    )  # fmt: skip


def fill(env: Environment, name: str, **context: Any) -> str:
    """The template `name` with its context. A fault of a template is an input error that names it."""
    try:
        return env.get_template(name).render(**context)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"{getattr(error, 'name', None) or name}{f' line {line}' if line else ''}"
        raise InputError(f"Template {where}: {error.message or type(error).__name__}.") from error
