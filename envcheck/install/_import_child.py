"""Imports packages one by one in the interpreter of a new environment, and says of each how it went.

    python -I _import_child.py FOLDER front|back|ahead-front|ahead-back NAME...

Runs alone in any Python >= 3.8: nothing of envcheck is imported here. Several such processes share the names through
FOLDER: who makes `NAME.begun` imports NAME. One takes from the front of the list and one from the back, because
neighbours need the same packages. Lines on standard output: `begun NAME`, then `sound` or `broken WHY`; `through` after
the last import, and `end`. Whatever packages print goes to standard error. Leaves when standard input closes.

Most of a first import is compiling. Who has nothing to import compiles ahead for the others: it follows the import
statements of what is still being imported, and leaves byte code where Python itself looks for it. That proves nothing
and spoils nothing: an import finds the byte code, compares it with its source, and runs it, or compiles for itself.
"""

from __future__ import annotations

import _thread
import gc
import importlib
import os
import sys
from importlib.machinery import SourceFileLoader
from typing import Callable, Dict, FrozenSet, List, Tuple


class Names:
    """The names that several children share, from one end."""

    def __init__(self, folder: str, role: str, names: List[str]) -> None:
        self.folder, self.names = folder, names
        self.is_front = role.endswith("front")
        self.imports = not role.startswith("ahead")

    def marked(self, name: str, how: str) -> bool:
        """Whether somebody has begun with `name` ("begun"), or imported it or failed to ("done")."""
        return os.path.exists(os.path.join(self.folder, name + "." + how))

    def mark(self, name: str, how: str) -> bool:
        """Say so to all; False where somebody has said it before."""
        try:
            os.mkdir(os.path.join(self.folder, name + "." + how))
        except FileExistsError:
            return False
        return True

    def import_all(self, say: Callable[..., None]) -> None:
        """Import what nobody else has begun.

        The neighbour of what another child is importing is likely to be imported on the way there: before it is taken,
        that child is helped to get on.
        """
        last = None
        for name in self.names if self.is_front else self.names[::-1]:
            beyond = self._beyond(name)
            if last is not None and beyond and self.marked(beyond, "begun"):
                self.compile_ahead(beyond)
            last = name
            if not self.mark(name, "begun"):
                continue
            say("begun", name)
            try:
                importlib.import_module(name)
            except BaseException as error:  # noqa: BLE001  whatever a package raises, SystemExit included, is its answer
                say("broken", type(error).__name__ + ":", *str(error).split())
            else:
                say("sound")
            self.mark(name, "done")

    def _beyond(self, name: str) -> str:
        """The name after `name`, seen from our end; "" without one."""
        place = self.names.index(name) + (1 if self.is_front else -1)
        return self.names[place] if 0 <= place < len(self.names) else ""

    def compile_ahead(self, name: str) -> None:
        """Byte code for what an import of `name` is likely to need, the last first: to meet that import half-way."""
        seen, waiting = set(), [name]
        while waiting and not self.marked(name, "done"):
            module = waiting.pop()
            if module in seen or module in sys.modules:
                continue
            seen.add(module)
            path, is_package = source_of(module)
            if not path:
                continue
            try:
                if not has_byte_code(path):
                    SourceFileLoader(module, path).get_code(module)
                with open(path, "rb") as file:
                    waiting += imported(file.read(), module, is_package)
            except Exception:  # noqa: BLE001, S112  the import itself will say what is wrong
                continue


def has_byte_code(path: str) -> bool:
    """Whether there is byte code for a source file; whether it is of this very source, the import finds out."""
    folder, name = os.path.split(path)
    return os.path.exists(os.path.join(folder, "__pycache__", name[:-3] + f".{sys.implementation.cache_tag}.pyc"))


def imported(source: bytes, module: str, is_package: bool) -> List[str]:
    """Names of modules that `source` may load: what is imported at the left margin, and first thing in a `try:`."""
    import re

    statement = rb"^(?:try:\s+)?(?:from[ \t]+([.\w]+)[ \t]+import[ \t]*(\([^)]*|[^\n#;]*)|import[ \t]+([^\n#;]+))"
    found: List[str] = []
    for origin, parts, plain in re.findall(statement, source, re.MULTILINE):
        words = [re.findall(r"[.\w]+", part) for part in (parts or plain).decode("utf-8", "replace").split(",")]
        names = [word[0] for word in words if word]
        for base in names if plain else [absolute(origin.decode("utf-8", "replace"), module, is_package)]:
            whole = base.split(".")
            found += [".".join(whole[:depth]) for depth in range(1, len(whole) + 1)]
            found += [] if plain else [f"{base}.{name}" for name in names]
    return found


def absolute(origin: str, module: str, is_package: bool) -> str:
    """The name that a relative import in `module` means."""
    bare = origin.lstrip(".")
    up = len(origin) - len(bare)
    if not up:
        return origin
    parts = module.split(".")
    return ".".join([*parts[: len(parts) - up + is_package], *([bare] if bare else [])])


_FOLDERS: Dict[str, FrozenSet[str]] = {}
_PORTIONS: Dict[str, List[str]] = {}


def names_in(folder: str) -> FrozenSet[str]:
    """What a folder holds."""
    if folder not in _FOLDERS:
        try:
            _FOLDERS[folder] = frozenset(os.listdir(folder))
        except OSError:
            _FOLDERS[folder] = frozenset()
    return _FOLDERS[folder]


def source_of(module: str) -> Tuple[str, bool]:
    """The source file of an installed module ("" without one), and whether it is a package."""
    parent, _, last = module.rpartition(".")
    for folder in portions(parent):
        there = names_in(folder)
        if last in there and "__init__.py" in names_in(os.path.join(folder, last)):
            return os.path.join(folder, last, "__init__.py"), True
        if last + ".py" in there:
            return os.path.join(folder, last + ".py"), False
    return "", False


def portions(package: str) -> List[str]:
    """Folders in which the modules of a package lie; those of a namespace package may be several."""
    if not package:
        return [folder for folder in sys.path if "site-packages" in folder]
    if package not in _PORTIONS:
        parent, _, last = package.rpartition(".")
        _PORTIONS[package] = [os.path.join(folder, last) for folder in portions(parent) if last in names_in(folder)]
    return _PORTIONS[package]


def leave_with_starter() -> None:
    """End where whoever started us is gone."""
    while os.read(0, 4096):
        pass
    os._exit(3)


def main() -> None:
    """Import, then help."""
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="replace")
    os.dup2(2, 1)

    def say(*words: str) -> None:
        out.write(" ".join(words) + "\n")

    # Collecting garbage amid an import finds next to none and takes a quarter of its time.
    gc.disable()
    _thread.start_new_thread(leave_with_starter, ())
    shared = Names(sys.argv[1], sys.argv[2], sys.argv[3:])
    if shared.imports:
        shared.import_all(say)
    say("through")
    for name in shared.names[::-1] if shared.is_front else shared.names:
        shared.compile_ahead(name)
    say("end")
    # What imported packages wish to do at the end of an interpreter is not asked for, and can take as long as they did.
    os._exit(0)


if __name__ == "__main__":
    main()
