"""Does everything import? Each package is imported in a child with a limit; a crash or a hang names its package.

Children share the work over the processors (how: `_import_child.py`). One that dies or hangs is replaced for what is
left, so that every package is tried.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envcheck.child import Child
from envcheck.host import Host

LIMIT_S = 300.0
"""For one package, byte code for all it needs included, in seconds."""
_CHILD = Path(__file__).with_name("_import_child.py")
_ROLES = ("front", "back", "ahead-back", "ahead-front")
"""One per processor: two that import, each with its own copy of what packages share, and two that compile ahead."""


class Imports:
    """The imports of `names` by the interpreter `python`; `clean` gives the variables."""

    def __init__(
        self, clean: Host, python: str, names: Sequence[str], progress: Callable[[str], None], limit_s: float = LIMIT_S
    ) -> None:
        self._clean, self._python, self._names, self._limit_s = clean, python, tuple(dict.fromkeys(names)), limit_s
        self._progress, self._one_line = progress, threading.Lock()
        self._begun = 0
        self._no_start = "nobody tried"
        self._said: dict[str, str] = {}
        """Package to what is wrong with its import; "" where it is sound."""
        self._living: list[Child] = []
        self._stopped = False

    def broken(self) -> list[str]:
        """What does not import, one sentence each; empty when everything does."""
        if not self._names:
            return []
        several = min(os.cpu_count() or 1, len(_ROLES))
        roles = [role for role in _ROLES[:several] if role != "back" or len(self._names) > 1]
        with (
            tempfile.TemporaryDirectory(prefix="envcheck-") as folder,
            ThreadPoolExecutor(len(roles)) as pool,
        ):
            for answer in [pool.submit(self._share, Path(folder), role) for role in roles]:
                answer.result()
        said = {name: self._said.get(name, self._no_start) for name in self._names}
        return [f"a package does not import: {name}: {why[:300]}" for name, why in said.items() if why]

    def stop(self) -> None:
        """End what is under way, from another thread; what has not been imported by then counts as broken."""
        self._stopped = True
        for child in list(self._living):
            child.stop()

    def _share(self, folder: Path, role: str) -> None:
        """Let a child do its share, and others in its place where it is stopped on the way."""
        while not self._stopped and (ended := self._one_child(folder, role)) is not None:
            name, why = ended
            if not name:
                self._no_start = why
                return
            self._said[name] = why
            (folder / f"{name}.done").mkdir(exist_ok=True)

    def _one_child(self, folder: Path, role: str) -> tuple[str, str] | None:
        """Hear a child to its end; where it stopped before: the package that it was at, if any, and why."""
        argv = [self._python, "-I", _CHILD.name, str(folder), role, *self._names]
        name, is_through = "", False
        with Child(argv, self._clean.env, label="the interpreter", files=(_CHILD,)) as child:
            self._living.append(child)
            if self._stopped:  # stopped before this one was known
                return None
            until = time.monotonic() + self._limit_s
            while (line := child.line(until - time.monotonic())) is not None:
                until = time.monotonic() + self._limit_s
                kind, _, rest = line[1].decode("utf-8", "replace").strip().partition(" ")
                if kind == "end":
                    return None
                is_through = is_through or kind == "through"
                if kind == "begun":
                    name = rest
                    self._tell(name)
                elif kind in ("sound", "broken"):
                    self._said[name] = rest
            if is_through:
                return None
            if time.monotonic() >= until:
                return name, f"it took longer than {self._limit_s:.0f} s"
            child.wait_ended(1.0)
            words = child.log().strip().splitlines()[-1:]
            return name, ": ".join([child.ended or "the interpreter closed its output", *words])

    def _tell(self, name: str) -> None:
        with self._one_line:
            self._begun += 1
            self._progress(f"importing {name} ({self._begun} of {len(self._names)})")
