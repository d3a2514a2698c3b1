"""`envcheck baseline`: take a project policy from a machine that works."""

from __future__ import annotations

from pathlib import Path

import click

from envcheck.cli._machine import machine_options, snapshot_of
from envcheck.cli._output import deliver


@click.command("baseline")
@machine_options
@click.option("--force", is_flag=True, help="Take it even from a machine on which no backend is ready.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write (default: standard output).")
def COMMAND(  # noqa: N802
    from_file: Path | None,
    assume_file: Path | None,
    target_python: str | None,
    level: int,
    limit_s: float,
    no_ports: bool,
    force: bool,
    output: Path | None,
) -> int:
    """Write an envcheck.toml that pins what runs here.

    Pinned are the packages that decide whether models run (torch, the backends and what they are compiled against) and
    the variables that choose the GPU. Exit code 1 where no backend is ready, since that is nothing to hold others to.
    """
    from envcheck import api
    from envcheck.judge.baseline import baseline, to_toml

    snapshot = snapshot_of(from_file, assume_file, target_python, level, limit_s, no_ports)
    states = api.judge(snapshot).backends
    ready = sorted(name for name, state in states.items() if state.status == "ready")
    if not ready and not force:
        click.echo("No backend is ready on this machine: fix it first (`envcheck check`), or use --force.", err=True)
        return 1
    when = f" on {snapshot.taken_at[:10]}" if snapshot.taken_at else ""
    comment = f"Taken by envcheck from {snapshot.alias}{when}; ready there: {', '.join(ready) or 'nothing'}."
    deliver(to_toml(baseline(snapshot), comment), output)
    return 0
