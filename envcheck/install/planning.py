"""The steps of a plan, as they will be run, and the ones that only a person may run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from envcheck.schema.facts import value_of
from envcheck.schema.plan import Decision, Step
from envcheck.schema.recipe import Choice, Profile
from envcheck.schema.snapshot import Snapshot


class Decided(Protocol):
    """What the judge decided."""

    decision: Decision
    choice: Choice


def steps_for(decided: Decided, target: str, in_place: bool, serves: tuple[str, ...]) -> Iterable[Step]:
    """Resolve, build, verify, switch. The same steps are carried out, with the files of the run in place of LOCK."""
    if not decided.choice.requirements:
        return
    backend = ("--torch-backend", decided.choice.torch_backend) if decided.choice.torch_backend else ()
    yield Step(
        argv=("uv", "pip", "compile", "--generate-hashes", "--only-binary", ":all:", *backend, "requirements.in"),
        says="Choose exact versions with hashes: " + ", ".join(decided.choice.requirements),
        done_when="a lock with a hash for every file exists",
    )
    if in_place:
        yield Step(
            argv=("uv", "pip", "install", "--python", target, "--require-hashes", "--no-deps", "-r", "LOCK"),
            says="Save the environment, then add the packages; it is put back if anything fails",
            serves=serves,
            done_when="every file agrees with its RECORD and every package imports",
        )
        return
    folder = f"{target or 'TARGET'}/generations/NEW"
    yield Step(
        argv=("uv", "venv", "--relocatable", folder),
        says="Make a new generation beside the current one",
        done_when="the new environment's interpreter starts",
    )
    yield Step(
        argv=("uv", "pip", "sync", "--python", f"{folder}/bin/python", "--require-hashes", "LOCK"),
        says="Fetch the wheels, compare their hashes, link them into the new generation",
        serves=serves,
        done_when="every file agrees with its RECORD and every package imports",
    )
    yield Step(
        argv=("ln", "-sfn", folder, f"{target or 'TARGET'}/current"),
        says="Switch to the new generation in one rename; the old one is kept for `envcheck rollback`",
        done_when="`current` points to the new generation",
    )


def manual_steps(profiles: Sequence[Profile], snapshot: Snapshot) -> Iterable[Step]:
    """What envcheck prints and never runs: drivers, servers, system packages."""
    family = value_of(snapshot.os.family)
    for profile in profiles:
        for manual in profile.manual:
            if manual.os and family is not None and family not in manual.os:
                continue
            for command in manual.commands:
                yield Step(
                    argv=tuple(command.split()),
                    says=manual.says,
                    needs_root=manual.needs_root,
                    manual=True,
                    done_when="you have run it yourself",
                )
