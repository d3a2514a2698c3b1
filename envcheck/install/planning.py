"""The steps of a plan, as they will be run, what they take, and the ones that only a person may run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from envcheck.install import uv, windows
from envcheck.install.receipt import Receipt
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Absent, Known, value_of
from envcheck.schema.plan import Cost, Decision, PlannedPackage, Step
from envcheck.schema.recipe import Choice, Profile
from envcheck.schema.snapshot import Snapshot

ASSUMED_BYTES_PER_S = 12_500_000
"""100 Mbit/s, for the estimate only, where no download has been timed here."""
ASSUMED_START_S = 5
"""Making, verifying and switching, for the estimate only."""
UNPACKED = 4
"""Disk per byte of wheel. Measured 2026-11-21: 3.9 for a CPU build of torch 2.13, 3.5 for web, vector and data."""
SPARE_BYTES = 50_000_000
"""Room for the interpreter's links, byte code and the journal, asked for even where the index states no size."""


class Decided(Protocol):
    """What the judge decided."""

    decision: Decision
    choice: Choice


def steps_for(
    decided: Decided,
    receipt: Receipt | None,
    target: str,
    in_place: bool,
    serves: tuple[str, ...],
    family: str | None = None,
    python: str = "",
) -> Iterable[Step]:
    """Resolve, build, verify, switch. The same steps are carried out, with the files of the run in place of LOCK.

    With a receipt the versions are chosen already; where they are those of a shipped lock, nothing was resolved.
    `python` is the minor version of the interpreter wanted, where it is known.
    """
    if not decided.choice.requirements:
        return
    choice = decided.choice
    own = tuple(one for one in choice.indexes if receipt is None or one.url in receipt.indexes)
    torch = uv.torch_arguments(receipt.torch_backend if receipt else choice.torch_backend, choice.torch_index)
    if family == "windows":
        found = uv.by_hand(own, torch)
        yield from windows.steps(decided, found, target, in_place, serves, receipt.python if receipt else python)
        return
    if receipt is None or any(package.origin == "index" for package in receipt.packages):
        only = "".join(f" ({one.package} from {one.url} and nowhere else)" for one in own)
        wish = "pyproject.toml" if own else "requirements.in"
        yield Step(
            argv=("uv", "pip", "compile", "--generate-hashes", "--only-binary", ":all:", *torch, wish),
            says=f"Choose exact versions with hashes: {', '.join(choice.requirements)}{only}",
            done_when="a lock with a hash for every file exists",
        )
    backend = uv.index_arguments((one.url for one in own), torch)
    hashed = ("--require-hashes", "--only-binary", ":all:")
    if in_place:
        yield Step(
            argv=("uv", "pip", "install", "--python", target, *hashed, *backend, "--no-deps", "-r", "LOCK"),
            says=f"Save the environment, then add the packages{_of_lock(receipt)}; it is put back if anything fails",
            serves=serves,
            done_when=_sound(decided),
        )
        return
    folder = f"{target or 'TARGET'}/generations/NEW"
    yield Step(
        argv=("uv", "venv", "--relocatable", folder),
        says="Make a new generation beside the current one",
        done_when=f"{folder}/bin/python starts",
    )
    yield Step(
        argv=("uv", "pip", "sync", "--python", f"{folder}/bin/python", *hashed, *backend, "LOCK"),
        says=f"Fetch the wheels{_of_lock(receipt)}, compare their hashes, link them into the new generation",
        serves=serves,
        done_when=_sound(decided),
    )
    yield Step(
        argv=("ln", "-sfn", folder, f"{target or 'TARGET'}/current"),
        says="Switch to the new generation in one rename; the old one is kept for `envcheck rollback`",
        done_when="`current` points to the new generation",
    )


def _of_lock(receipt: Receipt | None) -> str:
    """Which lock the versions are from, where it was not made just now."""
    origin = receipt.packages[0].origin if receipt and receipt.packages else ""
    return f" of the {origin} (--upgrade looks for newer)" if "lock" in origin else ""


def _sound(decided: Decided) -> str:
    """How the packages are seen to be there, in the order in which it is looked."""
    seen = ["every file agrees with its RECORD", "`uv pip check` finds nothing"]
    if decided.choice.imports:
        seen.append("these import: " + ", ".join(decided.choice.imports))
    if decided.choice.torch_backend:
        seen.append(f"torch says it is a {decided.choice.torch_backend} build and multiplies on every GPU it shows")
    return "; ".join(seen)


def cost_of(packages: Sequence[PlannedPackage], free_bytes: int | None, bytes_per_s: float | None = None) -> Cost:
    """Download, disk and time, from the sizes that the index states and how fast packages have come here before."""
    sizes = [package.size_bytes for package in packages]
    known = sum(size for size in sizes if size is not None)
    unknown = sizes.count(None)
    pace = bytes_per_s or ASSUMED_BYTES_PER_S
    how = "as measured here before" if bytes_per_s else "assumed"
    return Cost(
        download_bytes=known,
        unknown_sizes=unknown,
        disk_needed_bytes=UNPACKED * known + SPARE_BYTES,
        disk_free_bytes=free_bytes,
        seconds=None if unknown else ASSUMED_START_S + round(known / pace),
        assumed="" if unknown else f"{pace * 8 / 1e6:.0f} Mbit/s, {how}, and nothing in the cache",
    )


def require_room(cost: Cost, target: str) -> None:
    """Refuse up front where the disk cannot hold the new packages: with less than half of what they are likely to take.

    Some wheels hold what is compressed already and unpack to twice their size only, so between half and all is tried.
    """
    if cost.disk_free_bytes is not None and cost.disk_free_bytes < cost.disk_needed_bytes // 2:
        raise EnvcheckError(
            f"{target} has {cost.disk_free_bytes / 1e6:.0f} MB free and needs about {cost.disk_needed_bytes / 1e6:.0f} "
            "MB: make room, for example with `envcheck gc`, or choose another --target."
        )


def manual_steps(profiles: Sequence[Profile], snapshot: Snapshot) -> Iterable[Step]:
    """What envcheck prints and never runs: drivers, servers, system packages."""
    family = value_of(snapshot.os.family)
    vendors: set[str] = {gpu.vendor for gpu in value_of(snapshot.gpus) or ()} or {"none"}
    for profile in profiles:
        for manual in profile.manual:
            if manual.os and family is not None and family not in manual.os:
                continue
            if manual.gpus and isinstance(snapshot.gpus, Known | Absent) and not vendors & set(manual.gpus):
                continue
            for command in manual.commands:
                yield Step(
                    argv=tuple(command.split()),
                    says=manual.says + (f" Risk: {manual.risk}." if manual.risk else ""),
                    needs_root=manual.needs_root,
                    manual=True,
                    done_when="you have run it yourself",
                )
