"""What uv is asked to resolve and where it may look; the same builds in fewer places where an index keeps silent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from envcheck.install.uv import UnreachableError
from envcheck.schema.facts import Record
from envcheck.schema.plan import OwnIndex
from envcheck.schema.recipe import Choice


class Wish(Record):
    """What uv is asked to resolve, and where it may look."""

    lines: tuple[str, ...]
    torch: tuple[str, ...] = ()
    """uv's arguments for the index of a torch variant, and the tag of that."""
    backend: str | None = None
    own: tuple[OwnIndex, ...] = ()
    sources: tuple[str, ...] = ()


def same_builds(choice: Choice, wished: Wish) -> Iterator[Wish]:
    """The same builds, looked for in fewer places: without the index of a package, of torch, of both."""
    owns = (wished.own, ()) if wished.own else ((),)
    for own in owns:
        if own != wished.own:
            yield msgspec.structs.replace(wished, own=own)
    for own in owns if wished.torch else ():
        for version in choice.torch_elsewhere:
            lines = (f"torch=={version}" if line.startswith("torch=") else line for line in wished.lines)
            yield Wish(lines=tuple(lines), own=own)


def is_same_torch(choice: Choice, lock: dict[str, Any]) -> bool:
    """Whether the torch found without the index of its variant is of that variant.

    Without a label it is what the package index serves, and among `torch_elsewhere` only where that is the variant; an
    index that has another build under the same number says so by its label.
    """
    found = next((row["version"] for row in lock.get("packages", []) if row["name"] == "torch"), None)
    return found is None or found in choice.torch_elsewhere


def places_of(wish: Wish) -> tuple[str, ...]:
    """The places besides the package index that a wish depends on: addresses, and "torch"."""
    return (*(own.url for own in wish.own), *(("torch",) if wish.torch else ()))


def silent_place(error: UnreachableError, wish: Wish) -> str:
    """Which of the places of a wish did not answer; "torch" where uv names none of the others."""
    return next((own.url for own in wish.own if error.asked.startswith(own.url)), "torch")


def unreachable(choice: Choice, silent: Sequence[str], error: UnreachableError) -> UnreachableError:
    """One sentence on which index is missed, and the ways round it."""
    missed = [f"{own.package} of {own.url}" for own in choice.indexes if own.url in silent]
    if missed:
        lies = f"{' and '.join(missed)} is in no other index, and that one cannot be reached from here ({error.cause})"
        return UnreachableError(f"{lies}: {_WAYS_ROUND}", error.asked, error.cause)
    if choice.torch_backend is None:
        return error
    tried = ", ".join(choice.torch_elsewhere) or choice.torch_backend
    index = f"The index of torch {choice.torch_backend} builds cannot be reached ({error.cause})"
    return UnreachableError(f"{index}, and no other index has {tried}: {_WAYS_ROUND}", error.asked, error.cause)


_WAYS_ROUND = "give --wheelhouse with a bundle made where it can be, or name a mirror of it in UV_INDEX."


def found_elsewhere(choice: Choice, wished: Wish, met: Wish, lock: dict[str, Any]) -> Iterator[str]:
    """What was taken from another place than the one decided on."""
    have = {row["name"]: row["version"] for row in lock.get("packages", [])}
    if wished.torch and not met.torch:
        said = f"torch {have.get('torch')} was within reach"
        yield f"the index of torch {choice.torch_backend} builds could not be reached: {said}"
    for own in wished.own:
        if own not in met.own:
            yield f"{own.url} could not be reached: {own.package} {have.get(own.package)} was within reach elsewhere"
