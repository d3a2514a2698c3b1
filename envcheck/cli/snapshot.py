"""`envcheck snapshot`: write what the probes read, redacted, so that it can be judged later and elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from envcheck.cli._machine import host_of
from envcheck.cli._output import deliver


@click.command("snapshot")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write (default: standard output).")
@click.option("--python", "target_python", metavar="PATH", help="Interpreter of the target environment.")
@click.option(
    "--level", type=click.IntRange(0, 3), default=1, help="0 files, 1 programs and NVML, 2 import torch, 3 kernels."
)
@click.option("--limit", "limit_s", type=click.FloatRange(0.1, 300), default=2.0, help="Seconds one program may take.")
@click.option("--no-ports", is_flag=True, help="Do not look for services on loopback ports.")
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
