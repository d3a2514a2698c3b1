"""Greedy parity: the same engine with the same weights continues the same texts on the GPU and on the processor.

Rounding differs between devices, so an open text may part ways at a token that was nearly a tie; that position is
reported and proves nothing by itself. A continuation that leaves no choice must be the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from envcheck.schema.backend import Backend, Candidate, Engine, Progress
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record
from envcheck.schema.run import Parity, Run

if TYPE_CHECKING:
    from envcheck.host import Host

COUNTED = "1 2 3 4"
COUNTED_TOKENS = 6
"""Tokens of counting on that leave no choice: two or three numbers, whether the space is a token of its own or not."""
OPEN = "The capital of France is"
OPEN_TOKENS = 32
LIMIT_S = 120.0
ROOM = 2.5
"""Free main memory wanted, in sizes of the weights: bfloat16 weights become float32 on the processor, and caches."""
BACKENDS = ("embedded", "llama.cpp", "transformers")
"""Those that are started here and can be started again on the processor."""


class Tokens(Record):
    """Ids that an engine gave for the two texts."""

    counted: tuple[int, ...]
    open: tuple[int, ...]
    precision: str = ""
    """The number format of the weights in memory, where the engine tells."""


def tokens(engine: Engine, limit_s: float = LIMIT_S) -> Tokens:
    """Both texts continued. Raises EnvcheckError where the engine gives no ids."""
    return Tokens(
        counted=engine.greedy(COUNTED, COUNTED_TOKENS, limit_s),
        open=engine.greedy(OPEN, OPEN_TOKENS, limit_s),
        precision=engine.settings().get("dtype", ""),
    )


def compared(seen: Tokens, reference: Tokens) -> Parity:
    """The tokens of a GPU set against those of the processor."""
    at = difference(seen.open, reference.open)
    count = min(len(seen.open), len(reference.open))
    says = f"all {count} tokens of an open text are the same" if at is None else f"an open text differs from token {at}"
    forced = difference(seen.counted, reference.counted)
    if forced is not None:
        says = f"GPU and processor count on differently from token {forced}, where there is no choice; {says}"
    if seen.precision != reference.precision:
        says += f" (weights in {seen.precision or 'an unknown format'} there, {reference.precision or 'unknown'} here)"
    return Parity(status="passed" if forced is None else "degraded", says=says, compared=count, first_difference=at)


def difference(left: tuple[int, ...], right: tuple[int, ...]) -> int | None:
    """Position of the first token that differs, or that only one of them has; None where both are the same."""
    if left == right:
        return None
    pairs = zip(left, right, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))


def no_reason_to_compare(candidate: Candidate, run: Run) -> str:
    """Why parity is not looked at, or ""."""
    if run.status not in ("passed", "degraded"):
        return "the run did not end well"
    if run.device_used in ("cpu", "unknown"):
        if run.device_used == "cpu":
            return "it ran on the processor itself: there is no GPU to compare with"
        return "where it ran is not known"
    if candidate.backend not in BACKENDS or candidate.state != "startable":
        return "the server cannot be started a second time on the processor"
    return ""


def skipped(why: str) -> Parity:
    """Not compared, and why."""
    return Parity(status="skipped", says=why)


def with_processor(
    host: Host, backend: Backend, candidate: Candidate, seen: Tokens, weights_mib: float | None, progress: Progress
) -> Parity:
    """Start the same engine on the processor and compare. What does not work is a reason, never an exception."""
    free = _free_mib()
    if weights_mib and free is not None and free < ROOM * weights_mib:
        return skipped(f"{ROOM * weights_mib:.0f} MiB of main memory are needed, and {free:.0f} MiB are free")
    progress("the same on the processor, to compare")
    try:
        engine = backend.open(host, msgspec.structs.replace(candidate, device="cpu"), progress)
    except EnvcheckError as error:
        return skipped(f"it did not start on the processor: {error}")
    try:
        return compared(seen, tokens(engine))
    except EnvcheckError as error:
        return skipped(f"no tokens from the processor: {error}")
    finally:
        engine.close()


def _free_mib() -> float | None:
    import psutil

    try:
        return float(psutil.virtual_memory().available) / 2**20
    except (psutil.Error, OSError):
        return None


def sampled(engine: Engine, candidate: Candidate, run: Run) -> Tokens | Parity:
    """The tokens of a run on a GPU while its engine still lives, or why there is nothing to compare."""
    if why := no_reason_to_compare(candidate, run):
        return skipped(why)
    try:
        return tokens(engine)
    except EnvcheckError as error:
        return skipped(f"no tokens from the GPU: {error}")


def held(
    host: Host, backend: Backend, candidate: Candidate, run: Run, seen: Tokens | Parity, progress: Progress
) -> Run:
    """The run with its parity; one whose forced tokens differ is degraded."""
    if isinstance(seen, Parity):
        return msgspec.structs.replace(run, parity=seen)
    try:
        found = with_processor(host, backend, candidate, seen, run.memory_mib.get("backend_weights"), progress)
    except KeyboardInterrupt:
        return msgspec.structs.replace(run, parity=skipped("interrupted"), interrupted=True)
    if found.status == "degraded":
        run = msgspec.structs.replace(run, status="degraded", why=f"{found.says}; {run.why}")
    return msgspec.structs.replace(run, parity=found)
