"""An installation that a power cut cannot spoil: build a generation beside the old one, verify it, switch one link.

journal → resolve (done before) → build `generations/N` offline-verified by hash → verify there → switch → keep the
last K. Until the switch nothing that anyone uses has changed; after it, everything has.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from envcheck.host import Host
from envcheck.install import pace, uv
from envcheck.install.journal import OPEN, Entry, Journal, State
from envcheck.install.layout import Layout, flush_all
from envcheck.install.lockfile import exclusive
from envcheck.install.receipt import Receipt
from envcheck.install.receipt import write as write_receipt
from envcheck.schema.errors import EnvcheckError, InputError

KEEP = 3
WAIT_S = 600.0

Progress = Callable[[str], None]
Verify = Callable[[str], Sequence[str]]
"""From the path of an interpreter to what is wrong with its environment; empty when nothing is."""


class Offline(tuple[str, ...]):
    """Extra arguments for uv that keep it off the network."""

    __slots__ = ()

    @property
    def folder(self) -> Path | None:
        """The wheelhouse; None where there is none."""
        return Path(self[-1]) if self else None


ONLINE = Offline()


def wheelhouse_only(folder: Path) -> Offline:
    """Install from the wheels in `folder` alone."""
    return Offline(("--offline", "--no-index", "--find-links", str(folder)))


def install(
    host: Host,
    layout: Layout,
    lock: Path,
    python: str,
    *,
    receipt: Receipt,
    verify: Verify,
    progress: Progress,
    sources: Offline = ONLINE,
    keep: int = KEEP,
    planned_on: Callable[[], None] = lambda: None,
) -> int:
    """Build, verify and switch to a new generation with exactly the lock's packages; its number is returned.

    `planned_on` raises where the environment is not the one that the lock was made for any more: it is called when
    nobody else can change it. Raises EnvcheckError with the reason when it cannot; the environment is then what it was
    before.
    """
    with exclusive(layout.state / "lock", WAIT_S, progress) as held:
        journal = Journal(layout.state / "journal.jsonl")
        recover(layout, journal, progress)
        planned_on()
        previous = layout.current_number()
        profile = "+".join(receipt.profiles)
        number = max([*layout.numbers(), *(e.generation for e in journal.entries())], default=0) + 1

        def note(state: State, says: str = "") -> None:
            at = datetime.now(UTC).isoformat(timespec="seconds")
            journal.append(Entry(state=state, generation=number, previous=previous, at=at, profile=profile, says=says))

        note("started")
        try:
            progress("creating the environment")
            folder = str(layout.folder(number))
            arguments = ("--quiet", "--relocatable", "--python", python, folder)
            uv.call(host, "venv", *arguments, failed="No environment was made", held=(held,))
            progress("fetching, checking hashes and linking packages")
            fetched = _fill(
                host, layout.folder(number), lock, (*sources, *index_arguments(receipt)), receipt.hint, held
            )
            pace.remember(host, fetched, receipt.packages)
            write_receipt(layout.folder(number), receipt)
            note("built")
            progress("verifying the new environment")
            with flushing(layout.root):
                require_sound(verify(str(layout.folder(number) / "bin" / "python")))
            note("verified")
            layout.switch(number)
            note("switched")
        except BaseException as error:
            if layout.current_number() != number:
                layout.remove(number)
            note("failed", f"{type(error).__name__}: {error}")
            raise
        gc(layout, keep)
        return number


def index_arguments(receipt: Receipt) -> tuple[str, ...]:
    """uv's arguments for where the locked wheels are; without them only the package index is searched."""
    torch = uv.torch_arguments(receipt.torch_backend, receipt.choice.torch_index)
    return uv.index_arguments(receipt.indexes, torch)


@contextlib.contextmanager
def flushing(folder: Path) -> Iterator[None]:
    """Bring what was written to the disk while it is being verified, and at the end what the verification wrote."""
    early = threading.Thread(target=flush_all, args=(folder,), daemon=True)
    early.start()
    try:
        yield
    finally:
        early.join()
    flush_all(folder)


def require_sound(wrong: Sequence[str]) -> None:
    """Raise with what is wrong, if anything is."""
    if wrong:
        raise EnvcheckError("The new environment is not what was planned: " + "; ".join(wrong[:5]))


def _fill(host: Host, folder: Path, lock: Path, sources: Sequence[str], hint: str, held: int) -> str:
    """Make a new environment hold the lock's packages and nothing else; what uv said of a download.

    The cache is tried by itself first: every file is named by its hash, so nobody needs to be asked what is newest, and
    asking about each package takes longer than linking all of them.
    """
    to = ("--python", str(folder / "bin" / "python"), "--require-hashes", "--only-binary", ":all:")
    failed = "The packages were not installed, and nothing was changed"
    if "--offline" not in sources:
        with contextlib.suppress(EnvcheckError):
            uv.call(host, "pip", "sync", *to, "--offline", *sources, str(lock), failed=failed, held=(held,))
            return ""
    done = uv.call(host, "pip", "sync", *to, *sources, str(lock), failed=failed, hint=hint, held=(held,))
    return "" if "--offline" in sources else done.err


def recover(layout: Layout, journal: Journal, progress: Progress) -> bool:
    """Finish the story of an installation that died: what it left is removed, or was already complete.

    True where something was removed: the environment is then what it was before that installation.
    """
    last = journal.last()
    current = layout.current_number()
    undone = False
    if last is not None and last.state in OPEN:
        finished = current == last.generation
        undone = not finished
        if finished:
            layout.switch(last.generation)  # the links beside `current` may be missing still
        else:
            progress(f"removing what an interrupted installation left (generation {last.generation})")
        journal.append(
            Entry(
                state="switched" if finished else "abandoned",
                generation=last.generation,
                previous=last.previous,
                at=datetime.now(UTC).isoformat(timespec="seconds"),
                profile=last.profile,
                says="found at the next start",
            )
        )
    entries = journal.entries()
    begun = {e.generation for e in entries}
    complete = {e.generation for e in entries if e.state in ("switched", "rolled_back")}
    for number in layout.numbers():
        # What the journal has no word of was complete before the journal was lost: a beginning is written down first.
        if number in begun - complete and number != current:
            layout.remove(number)
    for leftover in layout.generations.glob(".doomed-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return undone


def rollback(layout: Layout, to: int | None, progress: Progress) -> int:
    """Make an older generation current (default: the one before); its number is returned.

    After an installation that died there is nothing else to do than to remove what it left: nothing of it was in use.
    """
    with exclusive(layout.state / "lock", WAIT_S, progress):
        journal = Journal(layout.state / "journal.jsonl")
        undone = recover(layout, journal, progress)
        current, numbers = layout.current_number(), layout.numbers()
        if undone and to is None and current is not None:
            return current
        if current is None:
            raise InputError(f"{layout.root} has no generation to roll back from: nothing was installed there yet.")
        wanted = to if to is not None else _before(current, numbers, journal)
        if wanted is None:
            raise InputError(
                f"Generation {current} is the oldest one kept in {layout.root}: there is nothing before it."
            )
        if wanted not in numbers:
            kept = ", ".join(map(str, numbers))
            raise InputError(f"Generation {wanted} is not kept in {layout.root}: choose one of {kept}.")
        layout.switch(wanted)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        journal.append(Entry(state="rolled_back", generation=wanted, previous=current, at=at))
        return wanted


def _before(current: int, numbers: Sequence[int], journal: Journal) -> int | None:
    """What was in use before the current generation was installed, else the newest older one that is kept."""
    made = [e.previous for e in journal.entries() if e.state == "switched" and e.generation == current]
    if made and made[-1] in numbers:
        return made[-1]
    older = [number for number in numbers if number < current]
    return older[-1] if older else None


def gc(layout: Layout, keep: int) -> list[int]:
    """Delete all but the newest `keep` generations; the current one always stays. What went is returned."""
    current = layout.current_number()
    old = [number for number in layout.numbers()[:-keep] if number != current] if keep > 0 else []
    for number in old:
        layout.remove(number)
    return old
