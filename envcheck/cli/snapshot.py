"""`envcheck snapshot`: write what the probes read, redacted, so that it can be judged later and elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from envcheck.cli._machine import host_of, look_options
from envcheck.cli._output import deliver


@click.command("snapshot")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write (default: standard output).")
@look_options
def COMMAND(output: Path | None, target_python: str | None, level: int, limit_s: float, no_ports: bool) -> int:  # noqa: N802
    """Write this machine's evidence to a file.

    The file holds no host names, user names, serial numbers, UUIDs, tokens or addresses.
    Judge it anywhere with `envcheck check --from FILE`.
    """
    import msgspec

    from envcheck.look import collect

    file, _ = collect(host_of(target_python, level, limit_s, no_ports))
    deliver(msgspec.json.format(msgspec.json.encode(file), indent=1).decode(), output)
    if output is not None:
        click.echo(f"Snapshot written to {output}", err=True)
    return 0
