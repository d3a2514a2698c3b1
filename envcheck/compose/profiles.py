"""Which install profile stands for a backend, and where its environment goes in the commands of a report."""

from __future__ import annotations

import tomllib
from functools import lru_cache

from envcheck.resources import folder
from envcheck.schema.facts import value_of
from envcheck.schema.report import Subject

COMPANIONS = ("web", "vector", "data")
"""Profiles of what stands around an engine."""


@lru_cache(maxsize=1)
def profiles() -> dict[str, str]:
    """Profile name to the backend it installs ("" for companions), from `install/<profile>.toml`."""
    found = {}
    for path in sorted(folder("install").glob("*.toml")):
        with path.open("rb") as file:
            found[path.stem] = str(tomllib.load(file).get("backend", ""))
    return found


def profile_of(backend: str) -> str | None:
    """The profile that installs a backend; None where it comes with an installer of its own.

    A client alone ("ollama-client") serves nothing.
    """
    found = (name for name, served in profiles().items() if served == backend and not name.endswith("-client"))
    return next(found, None)


def target_of(profile: str) -> str:
    """The folder of a profile's environment."""
    return f".envs/{profile}"


def python_of(profile: str, subject: Subject) -> str:
    """The interpreter in that folder, on the subject's operating system."""
    place = "Scripts/python.exe" if value_of(subject.snapshot.os.family) == "windows" else "bin/python"
    return f"{target_of(profile)}/{place}"


def missing(backend: str, subject: Subject) -> bool:
    """Whether a package of the backend is still to be installed."""
    return any(
        verdict.backend == backend and verdict.status == "not_met" and verdict.fixed_by_install
        for verdict in subject.judgement.verdicts
    )
