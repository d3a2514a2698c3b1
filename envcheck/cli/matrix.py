"""`envcheck matrix`: look into the requirements matrix and check it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from envcheck.schema.requirement import Condition, Requirement
    from envcheck.schema.verdict import Remedy


@click.group("matrix")
def COMMAND() -> None:  # noqa: N802
    """Show, explain and check the rows that machines are judged by."""


@COMMAND.command("lint")
@click.option("--format", "format_name", type=click.Choice(("console", "json")), default="console", show_default=True)
def lint_rows(format_name: str) -> int:
    """Refuse vacuous rows, overlaps, unknown facts and missing sources; exit code 1 where there is an error.

    Rows that were last compared with their source more than 180 days ago are named as warnings.
    """
    from envcheck.judge.lint import lint

    complaints = lint(time.strftime("%Y-%m-%d"))
    if format_name == "json":
        import msgspec

        click.echo(msgspec.json.encode(complaints).decode())
    else:
        for complaint in complaints:
            click.echo(f"{complaint.level}: {complaint.file}: {complaint.row}: {complaint.says}")
        errors = sum(complaint.level == "error" for complaint in complaints)
        click.echo(f"{errors} errors, {len(complaints) - errors} warnings", err=True)
    return 1 if any(complaint.level == "error" for complaint in complaints) else 0


@COMMAND.command("show")
@click.argument("backend", required=False)
def show_rows(backend: str | None) -> None:
    """List the rows of one BACKEND, or of all: id, versions and what must hold."""
    from envcheck.judge import rows

    names = [backend] if backend else ["machine", *rows.backend_names()]
    for name in names:
        for row in rows.matrix_of(name).requirement:
            scope = f" [{row.versions}]" if row.versions else ""
            click.echo(f"{row.id}{scope}: {_says(row)} ({row.severity})")


@COMMAND.command("explain")
@click.argument("row_id", metavar="ID")
def explain_row(row_id: str) -> None:
    """Everything about the rows of one verdict ID: what must hold, when, why, since when it was checked, what to do."""
    from envcheck.judge import rows
    from envcheck.schema.errors import InputError

    everything = [row for name in ("machine", *rows.backend_names()) for row in rows.matrix_of(name).requirement]
    found = [row for row in everything if row.id == row_id]
    if not found:
        from difflib import get_close_matches

        near = get_close_matches(row_id, sorted({row.id for row in everything}), n=3)
        hint = f" Did you mean {', '.join(near)}?" if near else " See `envcheck matrix show`."
        raise InputError(f"No row has the id {row_id!r}.{hint}")
    click.echo("\n\n".join(_explained(row) for row in found))


def _says(condition: Condition | Requirement) -> str:
    value = condition.value_of if condition.value_of is not None else condition.value
    shown = " ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
    return " ".join(filter(None, [condition.fact, condition.op, shown]))


def _way_out(remedy: Remedy) -> list[str]:
    changes = f" (changes: {remedy.scope.replace('_', ' ')})" if remedy.scope else ""
    return [f"  remedy      {remedy.says}{changes}", *(f"              $ {command}" for command in remedy.commands)]


def _explained(row: Requirement) -> str:
    lines = [
        f"{row.id}  {row.title}",
        f"  must hold   {_says(row)}" + (f" (on {row.across} GPU)" if row.fact.startswith("gpu.") else ""),
        *(f"  applies if  {_says(condition)}" for condition in row.when),
        f"  versions    {row.versions or 'all'}",
        f"  severity    {row.severity}, link {row.link}" + (f", cause {row.cause}" if row.cause else ""),
        f"  otherwise   {row.says}",
        *([f"  still works {row.limits}"] if row.limits else []),
        *(line for remedy in (row.remedy, *row.otherwise) if remedy for line in _way_out(remedy)),
        *([f"  hangs on    {', '.join(row.requires)}"] if row.requires else []),
        f"  source      {row.source} (checked {row.checked})",
    ]
    return "\n".join(lines)
