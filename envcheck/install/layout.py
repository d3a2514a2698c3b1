"""Where a managed environment keeps its generations, and which one is current.

    DIR/.envcheck/            journal, lock, receipts
    DIR/generations/0003/     a complete environment, never changed once it is current
    DIR/current               -> generations/0003; renamed over in one step
    DIR/bin, lib, pyvenv.cfg  -> current/…, so that DIR itself is a working environment

Nothing outside DIR is written, and everything that a switch changes is the one link `current`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from envcheck.schema.errors import InputError

STATE = ".envcheck"
_THROUGH_CURRENT = ("bin", "include", "lib", "lib64", "pyvenv.cfg")
_NUMBER = re.compile(r"^\d{4,}$")


class Layout:
    """One managed environment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / STATE
        self.generations = root / "generations"
        self.current = root / "current"

    @property
    def python(self) -> Path:
        """The interpreter of whatever generation is current."""
        return self.root / "bin" / "python"

    def folder(self, number: int) -> Path:
        """Where generation `number` lies."""
        return self.generations / f"{number:04d}"

    def numbers(self) -> list[int]:
        """Generations on disk, oldest first."""
        if not self.generations.is_dir():
            return []
        return sorted(int(p.name) for p in self.generations.iterdir() if _NUMBER.match(p.name) and p.is_dir())

    def current_number(self) -> int | None:
        """The generation that `current` points to; None before the first switch."""
        try:
            name = os.path.basename(os.readlink(self.current))  # noqa: PTH115, PTH119  a link's text, not a path
        except OSError:
            return None
        return int(name) if _NUMBER.match(name) else None

    def switch(self, number: int) -> None:
        """Make `number` current, in one rename: a reader sees the old generation or the new one, never neither."""
        fresh = self.root / f".current.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("generations") / f"{number:04d}")
        fresh.replace(self.current)
        flush_folder(self.root)
        for name in _THROUGH_CURRENT:
            link = self.root / name
            if not link.is_symlink() and (self.current / name).exists():
                link.symlink_to(Path("current") / name)
        flush_folder(self.root)

    def remove(self, number: int) -> None:
        """Delete a generation that is not current. It is renamed first, so that half of one is never taken for one."""
        folder = self.folder(number)
        if not folder.exists():
            return
        doomed = self.generations / f".doomed-{number:04d}"
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut (where the system can)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders; its renames are journalled by the file system
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_all(folder: Path) -> None:
    """Make everything written to the file system of `folder` survive a power cut (where the system can)."""
    if sys.platform == "linux":
        import ctypes

        # Only this file system: `sync` would wait for every disk of a busy machine (syncfs(2)).
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) == 0:
                return
        except AttributeError:  # a C library without it
            pass
        finally:
            os.close(descriptor)
    if hasattr(os, "sync"):
        os.sync()


def require_possible(root: Path) -> None:
    """Refuse a path that no interpreter's scripts can carry."""
    if any(letter in str(root) for letter in "\n\r\0"):
        raise InputError(
            "The target's path has a line break in it, which interpreters' scripts cannot carry: choose another."
        )


def require_switchable() -> None:
    """Refuse a system on which nothing can be switched, or put back, in one step.

    On Windows a rename over a link needs a right that ordinary users lack, and files in use cannot be replaced. Plans
    are made there, with steps that a person can run.
    """
    if is_windows():
        raise InputError(
            "Windows cannot switch an environment in one step without administrator rights: "
            "run the steps that --dry-run shows yourself, or use WSL2."
        )


def is_windows() -> bool:
    """Whether this is Windows."""
    return sys.platform == "win32"


def require_target(root: Path) -> Layout:
    """The managed environment at `root`, not written to yet; one sentence where one there would harm something else."""
    layout = Layout(root)
    require_possible(root)
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file: --target names a folder.")
    if root.is_dir() and not layout.state.is_dir() and any(root.iterdir()):
        if (root / "pyvenv.cfg").exists():
            raise InputError(
                f"{root} is an environment that envcheck did not make: use --python {root / 'bin' / 'python'}."
            )
        raise InputError(f"{root} is not empty and not an environment of envcheck: choose an empty or new folder.")
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not there.is_dir():
        raise InputError(f"{there} is a file: --target {root} would be inside it.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there} cannot be written by this user: choose another --target.")
    return layout


def open_target(root: Path) -> Layout:
    """The managed environment at `root`, made or continued."""
    require_switchable()
    layout = require_target(root)
    try:
        layout.state.mkdir(parents=True, exist_ok=True)
        layout.generations.mkdir(exist_ok=True)
        with (layout.state / "lock").open("ab"):
            pass  # access rights do not say everything: quotas and network file systems speak only now
    except OSError as error:
        raise InputError(f"{root} cannot be written ({error.strerror}): choose another --target.") from None
    return layout
