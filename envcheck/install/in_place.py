"""Installing into an environment that cannot move: everything that may change is saved first, and put back on failure.

The saved copy is made of hard links where the file system allows (uv replaces files by new ones, it never writes into
an old one), is complete before the first change, and is what both a failed installation and the next start restore.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from envcheck.host import Host
from envcheck.install import uv
from envcheck.install.journal import OPEN, Entry, Journal, State
from envcheck.install.layout import STATE, flush_folder, require_possible, require_switchable
from envcheck.install.lockfile import exclusive
from envcheck.install.receipt import NAME as RECEIPT
from envcheck.install.receipt import Receipt
from envcheck.install.receipt import write as write_receipt
from envcheck.install.transaction import (
    ONLINE,
    WAIT_S,
    Offline,
    Progress,
    Verify,
    flushing,
    index_arguments,
    require_sound,
)
from envcheck.schema.errors import EnvcheckError, InputError

_MAY_CHANGE = ("bin", "include", "lib", "share", "etc")


class InPlace:
    """An existing virtual environment and the state envcheck keeps in it."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.state = prefix / STATE
        self.saved = self.state / "saved"
        self.older = self.state / "older"
        """What was saved for the change before, until the change under way is complete."""

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.prefix / "bin" / "python")


def open_environment(python: Path) -> InPlace:
    """The environment of an interpreter; refused up front where a change could not be undone or is not ours to make.

    Nothing is written. The interpreter itself may be missing: a killed installation can have left it so.
    """
    prefix = Path(os.path.abspath(python)).parent.parent  # noqa: PTH100  a venv's python is a link: it must not be followed
    require_possible(prefix)
    if (prefix / "conda-meta").is_dir():
        raise InputError(
            f"{prefix} is managed by conda: install with conda, or use --target for an environment of its own."
        )
    if (prefix / "uv-receipt.toml").is_file() or (prefix / "pipx_metadata.json").is_file():
        raise InputError(
            f"{prefix} belongs to a tool installer (uv tool or pipx): use --target for an environment of its own."
        )
    if Path(python).is_dir():
        raise InputError(
            f"{python} is a folder: --python names an interpreter, such as {Path(python) / 'bin' / 'python'}."
        )
    if not (prefix / "pyvenv.cfg").is_file() and not os.path.lexists(python):
        raise InputError(f"There is no interpreter {python}: --python names that of an environment.")
    if not (prefix / "pyvenv.cfg").is_file():
        raise InputError(
            f"{python} is a system interpreter, which envcheck never changes: use --target for an environment."
        )
    if (prefix / "pyvenv.cfg").is_symlink() and (prefix / STATE / "journal.jsonl").is_file():
        raise InputError(f"{prefix} is an environment of envcheck: use --target {prefix}.")
    if not os.access(prefix, os.W_OK):
        raise InputError(f"{prefix} cannot be written by this user: use --target for an environment of your own.")
    return InPlace(prefix)


def from_folders(place: InPlace) -> dict[str, str]:
    """Normalised names of what is installed from a folder of this machine (PEP 610), and how."""
    found = {}
    for path in place.prefix.glob("lib/python*/site-packages/*.dist-info/direct_url.json"):
        try:
            said = msgspec.json.decode(path.read_bytes())
        except (OSError, msgspec.DecodeError):
            continue
        folder = said.get("dir_info") if isinstance(said, dict) else None
        if isinstance(folder, dict):
            name = re.sub(r"[-_.]+", "-", path.parent.name.partition("-")[0]).lower()
            found[name] = "in editable mode" if folder.get("editable") is True else "from a folder"
    return found


def mend(place: InPlace, progress: Progress) -> None:
    """Undo what a dead installation left, before anything asks this environment's interpreter."""
    journal = Journal(place.state / "journal.jsonl")
    last = journal.last()
    if last is not None and last.state in OPEN:
        with _only_one(place, progress):
            recover_in_place(place, journal, progress)


@contextlib.contextmanager
def _only_one(place: InPlace, progress: Progress) -> Iterator[int]:
    require_switchable()
    place.state.mkdir(exist_ok=True)
    with exclusive(place.state / "lock", WAIT_S, progress) as held:
        yield held


def install_in_place(
    host: Host,
    place: InPlace,
    lock: Path,
    *,
    receipt: Receipt,
    verify: Verify,
    progress: Progress,
    sources: Offline = ONLINE,
    reinstall: bool = False,
    planned_on: Callable[[], None] = lambda: None,
) -> int:
    """Add the lock's packages to the environment, or leave it as it was; the number of this change is returned.

    `reinstall` puts packages there again whose metadata is complete: installers take a damaged one for satisfied.
    """
    with _only_one(place, progress) as held:
        journal = Journal(place.state / "journal.jsonl")
        recover_in_place(place, journal, progress)
        planned_on()
        number = max((entry.generation for entry in journal.entries()), default=0) + 1
        note = _notes(journal, number, "+".join(receipt.profiles))
        progress("saving the environment as it is")
        save(place)
        note("applying", "")
        try:
            progress("fetching, checking hashes and linking packages")
            arguments = ("--quiet", "--python", place.python, "--require-hashes", "--only-binary", ":all:", "--no-deps")
            again = ("--reinstall",) if reinstall else ()
            argv = ("pip", "install", *arguments, *again, *sources, *index_arguments(receipt), "-r", str(lock))
            uv.call(host, *argv, failed="The packages were not installed", hint=receipt.hint, held=(held,))
            progress("verifying the environment")
            write_receipt(place.state, receipt)
            with flushing(place.prefix):
                require_sound(verify(place.python))
            _discard(place.older)
            note("applied", "")
        except BaseException as error:
            progress("putting the environment back as it was")
            restore(place)
            note("failed", f"{type(error).__name__}: {error}")
            _forget(place)
            raise
        return number


def rollback_in_place(place: InPlace, progress: Progress) -> int:
    """Undo the last change, which may be one that died half-way; its number is returned."""
    with _only_one(place, progress):
        journal = Journal(place.state / "journal.jsonl")
        if (undone := recover_in_place(place, journal, progress)) is not None:
            return undone
        last = next((e for e in reversed(journal.entries()) if e.state in ("applied", "rolled_back")), None)
        if last is None or last.state != "applied" or not place.saved.is_dir():
            raise InputError(f"{place.prefix} has no change of envcheck to undo.")
        note = _notes(journal, last.generation, last.profile)
        note("restoring", "rollback")
        restore(place)
        note("rolled_back", "")
        return last.generation


def recover_in_place(place: InPlace, journal: Journal, progress: Progress) -> int | None:
    """Where an installation died half-way, put back what was saved; the number of that change, None without one."""
    last = journal.last()
    undone = None
    if last is not None and last.state in OPEN:
        progress(f"undoing an interrupted installation (change {last.generation})")
        restore(place)
        state: State = "rolled_back" if last.state == "restoring" else "restored"
        _notes(journal, last.generation, last.profile)(state, "found at the next start")
        undone = last.generation
    _forget(place)
    return undone


def _forget(place: InPlace) -> None:
    """After a change that did not happen, what was saved for the change before is what a rollback needs."""
    if place.older.is_dir():
        _discard(place.saved)
        place.older.rename(place.saved)


def _discard(folder: Path) -> None:
    """Delete a saved copy. It is renamed first, so that half of one is never taken for one."""
    doomed = folder.with_name("doomed")
    shutil.rmtree(doomed, ignore_errors=True)
    if folder.is_dir():
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def save(place: InPlace) -> None:
    """A complete copy of everything an installer may change. It counts only once it has its final name."""
    partial = place.state / "saving"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in _MAY_CHANGE:
        if (place.prefix / name).is_dir() and not (place.prefix / name).is_symlink():
            _link_tree(place.prefix / name, partial / name)
    if (place.state / RECEIPT).is_file():
        shutil.copy2(place.state / RECEIPT, partial / RECEIPT)
    if place.saved.is_dir():
        place.saved.rename(place.older)
    partial.rename(place.saved)
    flush_folder(place.state)


def restore(place: InPlace) -> None:
    """Make the environment what was saved. Safe to be interrupted and done again: the saved copy is only read."""
    if not place.saved.is_dir():
        raise EnvcheckError(f"{place.saved} is gone: {place.prefix} cannot be put back, make the environment anew.")
    for name in _MAY_CHANGE:
        there, kept = place.prefix / name, place.saved / name
        if not kept.is_dir():
            if there.is_dir() and not there.is_symlink():
                shutil.rmtree(there)
            continue
        fresh = place.state / f"fresh-{name}"
        shutil.rmtree(fresh, ignore_errors=True)
        _link_tree(kept, fresh)
        # Two renames: a moment without the folder, but never with half of it.
        gone = place.state / f"gone-{name}"
        shutil.rmtree(gone, ignore_errors=True)
        if there.is_dir():
            there.rename(gone)
        fresh.rename(there)
        shutil.rmtree(gone, ignore_errors=True)
    (place.state / RECEIPT).unlink(missing_ok=True)
    if (place.saved / RECEIPT).is_file():
        shutil.copy2(place.saved / RECEIPT, place.state / RECEIPT)
    flush_folder(place.state)
    flush_folder(place.prefix)


def _link_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _notes(journal: Journal, number: int, profile: str) -> Callable[[State, str], None]:
    def note(state: State, says: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        journal.append(Entry(state=state, generation=number, at=at, profile=profile, says=says))

    return note
