"""`envcheck gc`: delete generations that nobody needs any more."""

from __future__ import annotations

from pathlib import Path

import click

from envcheck.schema.errors import InputError


@click.command("gc")
@click.option("--target", type=click.Path(path_type=Path), help="Folder of the environment (default: .envcheck-env).")
@click.option("--keep", type=click.IntRange(min=1), default=1, show_default=True, help="How many of the newest stay.")
def COMMAND(target: Path | None, keep: int) -> int:  # noqa: N802
    """Delete old generations of an environment; the current one always stays."""
    from envcheck.install.layout import Layout
    from envcheck.install.lockfile import exclusive
    from envcheck.install.transaction import WAIT_S, gc

    layout = Layout((target or Path(".envcheck-env")).absolute())
    if not layout.state.is_dir():
        raise InputError(f"{layout.root} is not an environment of envcheck: name one with --target.")
    with exclusive(layout.state / "lock", WAIT_S, lambda line: click.echo(f"… {line}", err=True)):
        gone = gc(layout, keep)
    click.echo(f"Deleted generations: {', '.join(map(str, gone)) or 'none'}.")
    return 0
