"""`envcheck verify`: are the installed packages on disk what their RECORD says?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from envcheck.cli._machine import host_of
from envcheck.cli._output import deliver

if TYPE_CHECKING:
    from envcheck.verify import Inspection

HARMLESS = frozenset({"foreign", "no_record"})
"""Kinds that break nothing by themselves: caches written beside a package, packages that the system manages."""

_MENDED_BY_REINSTALL = frozenset({"missing", "truncated", "changed", "broken_metadata"})

_SAYS = {
    "missing": "files are missing",
    "truncated": "files are shorter than recorded",
    "changed": "files have another content than recorded",
    "foreign": "files belong to no package",
    "no_record": "has no RECORD, so its files cannot be compared",
    "broken_metadata": "has broken metadata",
    "duplicate": "is installed more than once",
    "built_for_numpy_1": "modules were built for NumPy 1 and stop under the installed NumPy 2",
}


@click.command("verify")
@click.option("--python", "target_python", metavar="PATH", help="Interpreter of the environment (default: the active).")
@click.option("--hashes/--no-hashes", default=True, show_default=True, help="Read every file and compare its hash.")
@click.option("--strict", is_flag=True, help="Files that no RECORD names count as damage, too.")
@click.option("--format", "layout", type=click.Choice(["console", "json"]), default="console", show_default=True)
def COMMAND(target_python: str | None, hashes: bool, strict: bool, layout: str) -> int:  # noqa: N802
    """Compare every installed file with the RECORD of its package.

    An interrupted install leaves complete metadata and incomplete files, which `pip check` cannot see.
    Exit codes: 0 nothing is damaged, 1 something is, 2 there is no such environment.
    """
    import msgspec

    from envcheck.verify import verify

    outcome = verify(host_of(target_python, 1, 2.0, True), hashes)
    damaged = {each.package for each in outcome.damage if strict or each.kind not in HARMLESS}
    if layout == "json":
        deliver(msgspec.json.encode(outcome).decode() + "\n")
    else:
        deliver("".join(line + "\n" for line in _lines(outcome, damaged, hashes)))
    return 1 if damaged else 0


def _lines(outcome: Inspection, damaged: set[str], hashes: bool) -> Iterator[str]:
    """One line a finding with its first path, the remedy, then the sum."""
    for each in outcome.damage:
        mark = "note" if each.kind in HARMLESS else "damaged"
        count = f"{each.count} " if each.kind not in ("no_record", "broken_metadata", "duplicate") else ""
        example = f" ({each.example}{', …' if each.count > 1 else ''})" if each.example else ""
        yield f"{mark:8} {each.package or 'site-packages'}: {count}{_SAYS[each.kind]}{example}"
    looked = "existence, size and hash" if hashes else "existence and size"
    yield f"{outcome.packages} packages, {outcome.files} files compared by {looked}: {len(damaged) or 'none'} damaged."
    again = sorted({e.package for e in outcome.damage if e.kind in _MENDED_BY_REINSTALL and e.package})
    if again:
        pinned = " ".join(f"{name}=={outcome.versions[name]}" for name in again if name in outcome.versions)
        yield f"To repair: python -m pip install --force-reinstall --no-deps {pinned}"
