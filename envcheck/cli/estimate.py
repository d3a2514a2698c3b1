"""`envcheck estimate memory|speed --batch FILE`: many predictions in one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from envcheck.schema.errors import InputError

Answering = Callable[[dict[str, Any]], dict[str, Any]]


@click.group("estimate", context_settings={"help_option_names": ["-h", "--help"]})
def COMMAND() -> None:  # noqa: N802  every verb exports this name
    """Predict memory or speed for many cases at once."""


@COMMAND.command("memory")
@click.option("--batch", type=click.Path(path_type=Path), required=True, help="One JSON object a line.")
@click.option("--format", "form", type=click.Choice(["jsonl"]), default="jsonl", show_default=True)
def memory(batch: Path, form: str) -> int:  # noqa: ARG001  one format today; the option is part of the contract
    """Memory of each line's engine, model and settings, term by term, with an interval."""
    from envcheck.fit.estimate import answer

    return _answer_all(batch, answer)


@COMMAND.command("speed")
@click.option("--batch", type=click.Path(path_type=Path), required=True, help="One JSON object a line.")
@click.option("--format", "form", type=click.Choice(["jsonl"]), default="jsonl", show_default=True)
def speed(batch: Path, form: str) -> int:  # noqa: ARG001  one format today; the option is part of the contract
    """Speed of each line's model, engine and hardware, in the unit of its metric, with the band around it."""
    from envcheck.fit.speed_batch import answer

    return _answer_all(batch, answer)


def _answer_all(batch: Path, answering: Answering) -> int:
    """Print one answer a line; exit code 3 when not a single one could be given."""
    requests = list(_requests(batch))
    known = 0
    for request in requests:
        reply = answering(request)
        known += "unknown" not in reply
        click.echo(msgspec.json.encode(reply).decode())
    return 3 if requests and not known else 0


def _requests(batch: Path) -> list[dict[str, Any]]:
    try:
        lines = batch.read_bytes().splitlines()
    except OSError as error:
        raise InputError(
            f"{batch} cannot be read ({error.strerror}): give a file with one JSON object a line."
        ) from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line, type=dict[str, Any]))
        except msgspec.DecodeError as error:
            raise InputError(f"{batch}, line {number} is not a JSON object: {error}.") from None
    return found
