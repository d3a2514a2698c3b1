"""Several questions at once, each of which may wait for a program: a slow one costs its limit and no other answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def together(questions: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """The answers by name. A question bounds its own time; one that raises is left out, the others arrive.

    Ask only what waits: threads that compute or look at files take the interpreter from each other at every look.
    """
    answers: dict[str, T] = {}

    def ask(name: str, question: Callable[[], T]) -> None:
        try:
            answers[name] = question()
        except Exception:  # noqa: BLE001  what is not in the evidence is unknown, which is what it is
            return

    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in list(questions.items())[1:]]
    for thread in threads:
        thread.start()
    for name in list(questions)[:1]:
        ask(name, questions[name])
    for thread in threads:
        thread.join()
    return {name: answers[name] for name in questions if name in answers}
