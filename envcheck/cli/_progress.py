"""What long work says while it runs: lines on standard error, with a moving sign of life where a person watches."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import click


@contextlib.contextmanager
def shown() -> Iterator[Callable[[str], None]]:
    """A function that shows one step; each line carries the seconds since the start.

    On a terminal the step under way turns (rich); anywhere else each step is one plain line when it begins.
    """
    began = time.monotonic()
    if not sys.stderr.isatty():
        yield lambda line: click.echo(f"[{time.monotonic() - began:5.1f} s] {line}", err=True)
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False)
    with console.status("starting") as status:
        last: list[str] = []

        def say(line: str) -> None:
            if last:
                console.print(f"[dim]{time.monotonic() - began:6.1f} s[/] {escape(last.pop())}")
            last.append(line)
            status.update(escape(line))

        yield say
        if last:
            console.print(f"[dim]{time.monotonic() - began:6.1f} s[/] {escape(last.pop())}")
