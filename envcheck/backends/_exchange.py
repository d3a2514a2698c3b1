"""One prompt over HTTP: send, keep every read with its clock, and never lose what came before a fault."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Any

from envcheck.backends import _http
from envcheck.schema.backend import Ended, Exchange

Read = tuple[int, bytes]
"""(monotonic ns at which a read returned, what it held)."""


def ask(
    to: _http.Address,
    route: str,
    payload: dict[str, Any],
    limit_s: float,
    stall_s: float,
    headers: dict[str, str] | None,
    read_events: Callable[[list[Read], str], Exchange],
) -> Exchange:
    """Send, collect raw reads with their clock, and make sense of them only after the last one.

    `limit_s` bounds the whole answer and `stall_s` every silence in it. Whatever came before a fault is kept.
    """
    started = time.monotonic_ns()
    reads: list[Read] = []
    ended: Ended = "complete"
    error = ""
    content_type = ""
    stream: _http.Stream | None = None
    try:
        stream = _http.Stream(to, route, payload, stall_s, headers or {})
        started, content_type = stream.sent_ns, stream.content_type
        ended, error = _collect(stream, reads, started + int(limit_s * 1e9), limit_s)
    except KeyboardInterrupt:
        ended, error = "interrupted", "interrupted by Ctrl-C"
    except _http.Refused as refusal:
        ended, error = "refused", f"the server answered {refusal}"
    except TimeoutError:
        ended, error = "stalled", f"nothing came for {stall_s:g} s"
    except (OSError, http.client.HTTPException) as fault:
        ended = "cut" if stream is not None else _before_answer(fault)
        error = _fault_words(fault, answered=stream is not None)
    finally:
        if stream is not None:
            stream.close()
    exchange = read_events(reads, content_type)
    return _merged(exchange, started, ended, error)


def _collect(stream: _http.Stream, reads: list[Read], deadline_ns: int, limit_s: float) -> tuple[Ended, str]:
    size = 0
    for read in stream.reads():
        reads.append(read)
        size += len(read[1])
        if size > _http.BODY_LIMIT:
            return "too_long", f"the answer passed {_http.BODY_LIMIT // 2**20} MiB"
        if read[0] > deadline_ns:
            return "too_long", f"the answer took longer than {limit_s:g} s"
    return "complete", ""


def _before_answer(fault: Exception) -> Ended:
    return (
        "cut"
        if isinstance(fault, http.client.HTTPException | ConnectionResetError | BrokenPipeError)
        else "unreachable"
    )


def _fault_words(fault: Exception, *, answered: bool) -> str:
    what = "the connection broke off in the middle of the answer" if answered else "the server could not be asked"
    return f"{what} ({type(fault).__name__}{': ' + str(fault) if str(fault) else ''})"


def _merged(exchange: Exchange, sent_ns: int, ended: Ended, error: str) -> Exchange:
    """The transport's view joined with what the events themselves said; a transport fault outweighs."""
    if ended == "complete" and exchange.ended != "complete":
        ended, error = exchange.ended, exchange.error
    fields = {name: getattr(exchange, name) for name in exchange.__struct_fields__}
    return Exchange(**{**fields, "sent_ns": sent_ns, "ended": ended, "error": error or exchange.error})


def count(value: object) -> int | None:
    """A non-negative whole number, or None for anything else a server may send."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def figure(value: object) -> float | None:
    """A non-negative finite number, or None for anything else a server may send."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < float("inf") else None
