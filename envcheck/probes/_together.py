"""Several questions at once, each of which may wait for a program: a slow one costs its limit and no other answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def together(questions: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """The answers by name. A question bounds its own time; one that raises is left out, the others arrive."""
    answers: dict[str, T] = {}

    def ask(name: str, question: Callable[[], T]) -> None:
        try:
            answers[name] = question()
        except Exception:  # noqa: BLE001  what is not in the evidence is unknown, which is what it is
            return

    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in questions.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: answers[name] for name in questions if name in answers}
