"""`envcheck rollback`: make the environment what it was before the last installation."""

from __future__ import annotations

from pathlib import Path

import click

from envcheck.schema.errors import InputError


@click.command("rollback")
@click.option("--target", type=click.Path(path_type=Path), help="Folder of the environment (default: .envcheck-env).")
@click.option(
    "--python", "python", type=click.Path(path_type=Path), help="Interpreter of an environment changed in place."
)
@click.option("--to", type=int, help="Generation to go back to (default: the one before).")
def COMMAND(target: Path | None, python: Path | None, to: int | None) -> int:  # noqa: N802
    """Undo the last `envcheck install`."""
    from envcheck.install.in_place import open_environment, rollback_in_place
    from envcheck.install.layout import Layout
    from envcheck.install.transaction import rollback

    def progress(line: str) -> None:
        click.echo(f"… {line}", err=True)

    if python is not None:
        if target is not None or to is not None:
            raise InputError("--python undoes the last change of one environment: leave out --target and --to.")
        number = rollback_in_place(open_environment(python), progress)
        click.echo(f"Change {number} of {python} is undone.")
        return 0
    layout = Layout((target or Path(".envcheck-env")).absolute())
    if not layout.state.is_dir():
        raise InputError(f"{layout.root} is not an environment of envcheck: name one with --target.")
    number = rollback(layout, to, progress)
    click.echo(f"Generation {number} of {layout.root} is in use now.")
    return 0
