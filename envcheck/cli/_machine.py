"""The options that say which machine is meant, shared by every verb that judges one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from envcheck.host import Host
from envcheck.schema.snapshot import Snapshot

F = TypeVar("F", bound=Callable[..., Any])

_FILES = (
    click.option("--from", "from_file", type=click.Path(path_type=Path), help="Judge a snapshot file instead."),
    click.option(
        "--assume", "assume_file", type=click.Path(path_type=Path), help="Judge a hypothetical machine (TOML)."
    ),
)
_LEVELS = "0 files, 1 programs and NVML, 2 import torch, 3 kernels."
_LOOK = (
    click.option("--python", "target_python", metavar="PATH", help="Interpreter of the target environment."),
    click.option("--level", type=click.IntRange(0, 3), default=1, help=_LEVELS, show_default=True),
    click.option("--limit", "limit_s", type=click.FloatRange(0.1, 300), default=2.0, help="Seconds per program asked."),
    click.option("--no-ports", is_flag=True, help="Do not look for services on loopback ports."),
)


def look_options(command: F) -> F:
    """Add `--python`, `--level`, `--limit` and `--no-ports`: how to look at this machine."""
    for option in reversed(_LOOK):
        command = option(command)
    return command


def machine_options(command: F) -> F:
    """Add `--from` and `--assume` to the options that say how to look at this machine."""
    command = look_options(command)
    for option in reversed(_FILES):
        command = option(command)
    return command


def host_of(target_python: str | None, level: int, limit_s: float, no_ports: bool) -> Host:
    """This machine, as deep as asked."""
    if target_python is not None:
        _require_interpreter(target_python)
    return Host(target_python=target_python, level=level, limit_s=limit_s, ports=not no_ports)


def _require_interpreter(path: str) -> None:
    import shutil

    if shutil.which(path) is None:
        raise click.UsageError(f"--python {path}: there is no program of that name that may be run.")


def snapshot_of(
    from_file: Path | None,
    assume_file: Path | None,
    target_python: str | None,
    level: int,
    limit_s: float,
    no_ports: bool,
    meanwhile: Sequence[Callable[[], None]] = (),
) -> Snapshot:
    """The machine that the options mean; `meanwhile` is done while programs of this machine are slow to answer."""
    from envcheck.look import collect, parse
    from envcheck.machine_files import read_assumption, read_snapshot

    if from_file and assume_file:
        raise click.UsageError("--from and --assume name two machines: give one of them.")
    if from_file:
        return read_snapshot(from_file)
    if assume_file:
        return read_assumption(assume_file)
    return parse(collect(host_of(target_python, level, limit_s, no_ports), meanwhile)[0])
