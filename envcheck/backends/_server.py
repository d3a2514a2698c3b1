"""Starts an inference server as a child on a free loopback port and waits until it can take prompts."""

from __future__ import annotations

import http.client
import re
import socket
import time
from collections.abc import Callable
from typing import Literal

from envcheck.backends import _http
from envcheck.child import Child, descendants
from envcheck.schema.backend import Exchange, Progress
from envcheck.schema.errors import EnvcheckError

TRIES = 3
PERIOD_S = 0.1
_TAKEN = re.compile(
    r"address already in use|couldn't bind|failed to bind|EADDRINUSE|Errno 98|WinError 10048", re.IGNORECASE
)


class Started:
    """A server of ours that is ready."""

    def __init__(self, child: Child, to: _http.Address, load_ms: float) -> None:
        self.child = child
        self.to = to
        self.load_ms = load_ms

    def explained(self, exchange: Exchange) -> Exchange:
        """The exchange, with how the server died where that is why it broke off."""
        if exchange.ended not in ("cut", "unreachable", "refused", "stalled"):
            return exchange
        self.child.wait_ended(0.2)
        how = self.child.ended
        if how is None:
            return exchange
        fields = {name: getattr(exchange, name) for name in exchange.__struct_fields__}
        return Exchange(**{**fields, "error": f"{how}; {exchange.error}"})


def free_port() -> int:
    """A port nobody listens on at this moment. Somebody may take it before the server does: `start` tries again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    command: Callable[[int], list[str]],
    env: dict[str, str],
    *,
    label: str,
    ready_path: str,
    limit_s: float,
    progress: Progress,
    pick_port: Callable[[], int] = free_port,
) -> Started:
    """Start `command(port)` and wait for `ready_path` to answer 200. Raises EnvcheckError with the server's last words.

    A server that ends because its port was taken in between is started again on another, TRIES times in all.
    """
    tries = 0
    while True:
        tries += 1
        port = pick_port()
        to = _http.Address(scheme="http", host="127.0.0.1", port=port, base="")
        started = time.monotonic()
        child = Child(command(port), env, label=label, talks=False)
        try:
            waited = _wait(child, to, ready_path, started + limit_s, progress, label)
            if waited == "ready":
                return Started(child, to, (time.monotonic() - started) * 1e3)
            log, how = child.log(), child.ended
        except BaseException:
            child.stop()
            raise
        child.stop()
        taken = waited == "taken" or (how is not None and _TAKEN.search(log) is not None)
        if tries == TRIES or not taken:
            raise EnvcheckError(_failure(label, how, log, limit_s))
        progress(f"port {port} was taken in between, trying another")


def _wait(
    child: Child, to: _http.Address, path: str, deadline: float, progress: Progress, label: str
) -> Literal["ready", "ended", "late", "taken"]:
    """How the wait came out. Says every few seconds that it still loads."""
    told = time.monotonic()
    while time.monotonic() < deadline:
        if child.ended is not None:
            return "ended"
        try:
            _http.get(to, path, limit_s=2.0)
        except (OSError, http.client.HTTPException, _http.Refused):  # not up yet, or 503 while it loads
            if time.monotonic() - told > 5:
                told = time.monotonic()
                progress(f"{label} is loading")
            time.sleep(PERIOD_S)
            continue
        if child.wait_ended(PERIOD_S):
            return "ended"
        return "ready" if _is_ours(child, to.port) else "taken"
    return "late"


def _is_ours(child: Child, port: int) -> bool:
    """False when the program that answers on the port is known not to be ours: it took the port before ours could."""
    owners = set(listening_pids(port))
    family = {child.pid, *(process.pid for process in descendants(child.pid))}
    return not owners or bool(owners & family)


def _failure(label: str, how: str | None, log: str, limit_s: float) -> str:
    words = last_words(log)
    what = f"{how} before it was ready" if how else f"{label} was not ready after {limit_s:g} s"
    return f"{what[0].upper()}{what[1:]}{': ' + words if words else ''}."


def last_words(log: str) -> str:
    """The line of a log that says most about a failure: the last that names an error, else the last."""
    lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
    telling = [
        line for line in lines if re.search(r"\b\w*(?:error|exception|failed|cannot|unable)\b", line, re.IGNORECASE)
    ]
    return (telling or lines or [""])[-1][:300].rstrip(".")


def listening_pids(port: int) -> tuple[int, ...]:
    """Processes of this machine that listen on a TCP port, as far as this user may see."""
    import psutil

    try:
        found = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return ()
    pids = {c.pid for c in found if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid}
    return tuple(sorted(pids))
