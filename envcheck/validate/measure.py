"""From the events of one exchange to its times: pure arithmetic on the client's clock.

Definitions are those that vLLM's, AIPerf's and MLPerf's clients agree on: an event with generated text of any kind
(content, reasoning, tool call) is a token event; role, usage and comment events are not. Times in ms.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

from envcheck.schema.backend import Exchange
from envcheck.schema.facts import Record
from envcheck.schema.run import PromptRun
from envcheck.validate.abilities import calls
from envcheck.validate.answers import Judged
from envcheck.validate.memory import Peak
from envcheck.validate.prompts import Row

NS_PER_MS = 1e6


class Times(Record):
    """Client-clock times of one exchange; None where the stream does not tell."""

    ttft_ms: float | None = None
    ttfa_ms: float | None = None
    e2e_ms: float | None = None
    tpot_ms: float | None = None
    decode_tps: float | None = None
    chunks: int = 0
    coalesced_share: float | None = None
    note: str = ""


def times(exchange: Exchange) -> Times:
    """TTFT, time to the answer, end-to-end (last token event, not [DONE]), TPOT and decode speed.

    TPOT = (t_last - t_first) / (N - n_first), N from the server's usage; n_first, the tokens of the first event, is 1
    when there are as many events as tokens (a last token without text allowed), else N / events.
    """
    events = [piece for piece in exchange.pieces if piece.has_token]
    if not events:
        return Times()
    first, last, count = events[0].ns, events[-1].ns, len(events)
    answer = next((piece.ns for piece in events if piece.text), None)
    gaps = [after.ns - before.ns for before, after in pairwise(events)]
    tokens = exchange.output_tokens
    whole = exchange.ended == "complete"
    note = ""
    tpot = None
    if tokens is not None and whole and count > 1:
        n_first = 1.0 if tokens - count in (0, 1) else max(tokens / count, 1.0)
        counted = tokens - n_first - (1 if tokens == count + 1 else 0)
        if n_first > 1:
            note = f"{tokens} tokens in {count} chunks: the first chunk is taken to hold {n_first:.1f}"
        if counted > 0 and last > first:
            tpot = (last - first) / NS_PER_MS / counted
    return Times(
        ttft_ms=(first - exchange.sent_ns) / NS_PER_MS,
        ttfa_ms=None if answer is None else (answer - exchange.sent_ns) / NS_PER_MS,
        e2e_ms=(last - exchange.sent_ns) / NS_PER_MS if whole else None,
        tpot_ms=tpot,
        decode_tps=1000.0 / tpot if tpot else None,
        chunks=count,
        coalesced_share=sum(gap == 0 for gap in gaps) / len(gaps) if gaps else None,
        note=note,
    )


def answer_text(exchange: Exchange) -> str:
    """The answer itself, without reasoning."""
    return "".join(piece.text for piece in exchange.pieces)


def prompt_run(exchange: Exchange, row: Row, judged: Judged, peak: Peak, *, cold: bool) -> PromptRun:
    """Everything about one prompt in one record."""
    found = times(exchange)
    text = answer_text(exchange) or ", ".join(map(str, calls(exchange.pieces)))
    reasoned = any(piece.reasoning for piece in exchange.pieces)
    notes = [*exchange.oddities, *([found.note] if found.note else [])]
    if reasoned:
        notes.append("the model reasoned before it answered; the answer alone is judged")
    return PromptRun(
        id=row.id,
        kind=row.kind,
        passed=judged.answer == "right" and exchange.ended == "complete",
        answer=judged.answer,
        answer_text=text,
        answer_sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() if text else "",
        why=judged.why,
        prompt_tokens=exchange.prompt_tokens,
        output_tokens=exchange.output_tokens,
        ttft_ms=_round(found.ttft_ms),
        ttfa_ms=_round(found.ttfa_ms),
        tpot_ms=_round(found.tpot_ms),
        e2e_ms=_round(found.e2e_ms),
        decode_tps=_round(found.decode_tps),
        server_decode_tps=_round(exchange.timings.decode_tps),
        server_prefill_tps=_round(exchange.timings.prefill_tps),
        cached_tokens=exchange.cached_tokens,
        chunks=found.chunks,
        coalesced_share=_round(found.coalesced_share),
        cold=cold,
        ram_mib=_round(peak.ram_mib, 1),
        vram_mib=_round(peak.vram_mib, 1),
        error=exchange.error or None,
        finish_reason=exchange.finish_reason,
        interrupted=exchange.ended == "interrupted",
        notes=tuple(notes),
    )


def _round(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
