"""Stops a real engine in the middle of an answer, so that what comes next cannot come too late."""

from __future__ import annotations

import time

import psutil


def held_in_an_answer(pid: int) -> list[psutil.Process]:
    """The engine's processes, stopped once a prompt is on its way to them: so the answer cannot end before a signal."""
    parent = psutil.Process(pid)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(c.status == psutil.CONN_ESTABLISHED for c in parent.net_connections("tcp")):
            children: list[psutil.Process] = parent.children(recursive=True)
            for child in children:
                child.suspend()
            if any(c.status == psutil.CONN_ESTABLISHED for c in parent.net_connections("tcp")):
                return children
            for child in children:
                child.resume()
        time.sleep(0.01)
    raise AssertionError("no prompt was sent in a minute")
