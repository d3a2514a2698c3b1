"""Loading, first token, unloading, again and again: is it as fast each time, and does memory come back?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from envcheck.schema.backend import Backend, Candidate, Progress, Request
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.run import LoadCycle
from envcheck.validate import memory

if TYPE_CHECKING:
    from envcheck.host import Host

BOUND_MIB = 64.0
"""Memory that may be missing after the cycles: caches and allocator slack of a healthy engine. It must not grow with
each cycle, so the first cycle is the reference and not the state before it."""
SETTLE_S = 1.0


def cycles(
    host: Host, backend: Backend, candidate: Candidate, request: Request, count: int, progress: Progress
) -> tuple[LoadCycle, ...]:
    """`count` cycles; ends early at the first that fails, which is the last entry."""
    found: list[LoadCycle] = []
    for number in range(1, count + 1):
        progress(f"load and unload {number} of {count}")
        found.append(_cycle(host, backend, candidate, request, progress))
        if found[-1].error:
            break
    return tuple(found)


def _cycle(host: Host, backend: Backend, candidate: Candidate, request: Request, progress: Progress) -> LoadCycle:
    began = time.monotonic()
    try:
        engine = backend.open(host, candidate, progress)
    except EnvcheckError as error:
        return LoadCycle(load_ms=_ms_since(began), error=str(error))
    load_ms, pids = _ms_since(began), engine.pids()
    try:
        exchange = engine.ask(request, 60.0, 30.0)
        if exchange.ended == "interrupted":
            raise KeyboardInterrupt
    finally:
        closing = time.monotonic()
        engine.close()
    unload_ms = _ms_since(closing)
    time.sleep(SETTLE_S)
    first = next((piece.ns for piece in exchange.pieces if piece.has_token), None)
    server, _ = memory.ram_mib(memory.tree(pids))
    return LoadCycle(
        load_ms=load_ms,
        first_token_ms=None if first is None else round((first - exchange.sent_ns) / 1e6, 1),
        unload_ms=unload_ms,
        gpu_used_mib=memory.gpu_used_mib(),
        server_mib=None if server is None else round(server, 1),
        error=exchange.error,
    )


def leak(found: tuple[LoadCycle, ...], bound_mib: float = BOUND_MIB) -> tuple[bool, str]:
    """Whether memory grew over the cycles by more than the bound, and the sentence that says so."""
    whole = [cycle for cycle in found if not cycle.error]
    if len(whole) < 2:
        return False, "fewer than two whole cycles: nothing can be said about leaks"
    words = []
    leaked = False
    for name, first, last in (
        ("GPU", whole[0].gpu_used_mib, whole[-1].gpu_used_mib),
        ("server", whole[0].server_mib, whole[-1].server_mib),
    ):
        if first is not None and last is not None:
            leaked = leaked or last - first > bound_mib
            words.append(f"{name} memory {last - first:+.0f} MiB over {len(whole)} cycles (bound {bound_mib:.0f})")
    return leaked, "; ".join(words) or "the engine's processes are gone after each cycle, and their memory with them"


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1e3, 1)
