"""`envcheck verify`: are the installed packages on disk what their RECORD says?"""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envcheck.cli._machine import host_of
from envcheck.cli._output import deliver

if TYPE_CHECKING:
    from envcheck.verify import Inspection

HARMLESS = frozenset({"foreign", "no_record"})
"""Kinds that break nothing by themselves: caches written beside a package, packages that the system manages."""

_MENDED_BY_REINSTALL = frozenset({"missing", "truncated", "changed", "broken_metadata"})

_UNCOUNTED = frozenset({"no_record", "broken_metadata", "duplicate"})

_SAYS = {
    "missing": ("file is missing", "files are missing"),
    "truncated": ("file is shorter than recorded", "files are shorter than recorded"),
    "changed": ("file has another content than recorded", "files have another content than recorded"),
    "foreign": ("file belongs to no package", "files belong to no package"),
    "no_record": ("has no RECORD, so its files cannot be compared",) * 2,
    "broken_metadata": ("has broken metadata",) * 2,
    "duplicate": ("is installed in more than one version",) * 2,
    "built_for_numpy_1": (
        "module was built for NumPy 1 and stops under the installed NumPy 2",
        "modules were built for NumPy 1 and stop under the installed NumPy 2",
    ),
}
"""What is said of one, and of several."""


@click.command("verify")
@click.option("--python", "target_python", metavar="PATH", help="Interpreter of the environment (default: the active).")
@click.option("--hashes/--no-hashes", default=True, show_default=True, help="Read every file and compare its hash.")
@click.option("--strict", is_flag=True, help="Files that no RECORD names count as damage, too.")
@click.option("--format", "layout", type=click.Choice(["console", "json"]), default="console", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of printing.")
def COMMAND(  # noqa: N802
    target_python: str | None, hashes: bool, strict: bool, layout: str, output: Path | None
) -> int:
    """Compare every installed file with the RECORD of its package.

    An interrupted install leaves complete metadata and incomplete files, which `pip check` cannot see.
    Exit codes: 0 nothing is damaged, 1 something is, 2 there is no such environment.
    """
    import msgspec

    from envcheck.verify import verify

    outcome = verify(host_of(target_python, 1, 2.0, True), hashes)
    damaged = {each.package for each in outcome.damage if strict or each.kind not in HARMLESS}
    if layout == "json":
        deliver(msgspec.json.encode(outcome).decode() + "\n", output)
    else:
        deliver("".join(line + "\n" for line in _lines(outcome, damaged, hashes)), output)
    return 1 if damaged else 0


def _lines(outcome: Inspection, damaged: set[str], hashes: bool) -> Iterator[str]:
    """One line a finding with its first path, the remedy, then the sum."""
    for each in outcome.damage:
        mark = "note" if each.kind in HARMLESS else "damaged"
        one, more = _SAYS[each.kind]
        says = one if each.count == 1 else more
        count = f"{each.count} " if each.kind not in _UNCOUNTED else ""
        and_more = ", …" if each.count > 1 and each.kind != "duplicate" else ""
        example = f" ({each.example}{and_more})" if each.example else ""
        yield f"{mark:8} {each.package or 'site-packages'}: {count}{says}{example}"
    looked = "existence, size and hash" if hashes else "existence and size"
    yield (
        f"{_counted(outcome.packages, 'package')}, {_counted(outcome.files, 'file')} compared by {looked}: "
        f"{len(damaged) or 'none'} damaged."
    )
    yield from _remedies(outcome)


def _counted(number: int, noun: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _remedies(outcome: Inspection) -> Iterator[str]:
    """Commands that mend it: reinstall what is not whole; take away what is there twice, then install it once."""
    from envcheck.judge.damaged import arguments

    def pinned(kinds: Container[str]) -> list[str]:
        names = sorted({e.package for e in outcome.damage if e.kind in kinds and e.package in outcome.versions})
        return [f"{name}=={outcome.versions[name]}" for name in names]

    twice = pinned(("duplicate",))
    again = [pin for pin in pinned(_MENDED_BY_REINSTALL) if pin not in twice]
    if twice:
        names = " ".join(pin.partition("==")[0] for pin in twice)
        yield f"To leave one version: python -m pip uninstall -y {names}   (once for each version)"
        yield f"               then: python -m pip install --no-deps {arguments(twice)}"
    if again:
        yield f"To repair: python -m pip install --force-reinstall --no-deps {arguments(again)}"
