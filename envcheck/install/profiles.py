"""Profiles: `install/<name>.toml`, found by name."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence

import msgspec

from envcheck.resources import folder
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.recipe import Profile


def names() -> list[str]:
    """The profiles that can be installed, sorted."""
    return sorted(path.stem for path in folder("install").glob("*.toml") if not path.stem.startswith("pylock"))


def load(wanted: Sequence[str]) -> tuple[Profile, ...]:
    """The named profiles, each once, in the order given; an unknown name is answered with the nearest ones."""
    return tuple(_load(name) for name in dict.fromkeys(_spelled(each) for each in wanted))


def _spelled(name: str) -> str:
    """As profiles are spelled: backends are also known as "llama.cpp" and "llama_cpp"."""
    return name.strip().lower().replace(".", "-").replace("_", "-")


def _load(name: str) -> Profile:
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}."
        raise InputError(f"There is no profile {name!r}: {hint}")
    path = folder("install") / f"{name}.toml"
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Profile)
    except (OSError, ValueError) as error:
        raise EnvcheckError(
            f"The profile install/{name}.toml cannot be read ({error}): reinstall llm-envcheck."
        ) from None
