"""OpenAI's wire: what is sent to `/v1/chat/completions` and `/v1/completions`, and what the events mean.

Shared by every backend that speaks it. Fields beyond the standard are taken where a server gives them: `timings`
(llama.cpp), `reasoning` and `reasoning_content` (vLLM, SGLang, llama.cpp, DeepSeek).
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any

from envcheck.backends import _http
from envcheck.backends._sse import Decoder
from envcheck.schema.backend import Ended, EngineTimings, Exchange, Piece, Request

Read = tuple[int, bytes]


def body(request: Request, model: str, extra: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """Route (relative to `/v1`) and JSON of a streamed request."""
    common: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
        **(extra or {}),
    }
    if request.completion is not None:
        return "/completions", {**common, "prompt": request.completion}
    messages = [{"role": m.role, "content": m.content} for m in request.messages]
    return "/chat/completions", {**common, "messages": messages}


def ask(
    to: _http.Address,
    route: str,
    payload: dict[str, Any],
    limit_s: float,
    stall_s: float,
    headers: dict[str, str] | None = None,
    read_events: Callable[[list[Read], str], Exchange] | None = None,
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
    exchange = (read_events or events)(reads, content_type)
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


class _Seen:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.finish_reason: str | None = None
        self.usage: dict[str, Any] = {}
        self.timings = EngineTimings()
        self.error = ""
        self.done = False
        self.garbage = 0


def events(reads: list[Read], content_type: str) -> Exchange:
    """Events of a whole stream, or the one JSON document of a server that ignored `stream`."""
    seen = _Seen()
    if content_type == "application/json":
        _take(seen, reads[-1][0] if reads else 0, b"".join(data for _, data in reads))
        return _exchange(seen, streamed=False)
    decoder = Decoder()
    try:
        for ns, data in reads:
            for event in decoder.feed(data):
                _take(seen, ns, event)
        for event in decoder.finish():
            _take(seen, reads[-1][0], event)
    except OverflowError as error:
        seen.error = str(error)
    return _exchange(seen, streamed=True)


def _take(seen: _Seen, ns: int, event: bytes) -> None:
    if event.strip() == b"[DONE]":
        seen.done = True
        return
    try:
        document = json.loads(event)
    except (ValueError, RecursionError):
        seen.garbage += 1
        return
    if not isinstance(document, dict):
        seen.garbage += 1
        return
    if document.get("error"):
        seen.error = f"the server reported in the stream: {_http.error_words(event)}"
    _take_choice(seen, ns, document)
    if isinstance(document.get("usage"), dict):
        seen.usage = document["usage"]
    if isinstance(document.get("timings"), dict):
        seen.timings = llama_timings(document["timings"])


def _take_choice(seen: _Seen, ns: int, document: dict[str, Any]) -> None:
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return
    if isinstance(choice.get("finish_reason"), str):
        seen.finish_reason = choice["finish_reason"]
    delta = choice.get("delta") or choice.get("message") or {}
    if not isinstance(delta, dict):
        return
    piece = Piece(
        ns=ns,
        text=_text(delta.get("content")) or _text(choice.get("text")),
        reasoning=_text(delta.get("reasoning_content")) or _text(delta.get("reasoning")),
        tool=json.dumps(delta["tool_calls"]) if delta.get("tool_calls") else "",
    )
    if piece.has_token:
        seen.pieces.append(piece)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _exchange(seen: _Seen, *, streamed: bool) -> Exchange:
    whole = seen.done or seen.finish_reason is not None
    oddities = [f"{seen.garbage} events were not JSON objects"] if seen.garbage else []
    if streamed and whole and not seen.done:
        oddities.append("the stream ended without [DONE]")
    if not streamed and whole:
        oddities.append("the server did not stream: times to the first token cannot be told from the whole")
    if whole and not seen.usage:
        oddities.append("the server sent no token counts")
    ended: Ended = "refused" if seen.error else "complete" if whole else "cut"
    error = seen.error or ("" if whole else "the answer ended without a finish reason or [DONE]")
    details = seen.usage.get("prompt_tokens_details")
    return Exchange(
        sent_ns=0,
        ended=ended,
        pieces=tuple(seen.pieces),
        finish_reason=seen.finish_reason,
        prompt_tokens=_count(seen.usage.get("prompt_tokens")),
        cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else None,
        output_tokens=_count(seen.usage.get("completion_tokens")),
        timings=seen.timings,
        error=error,
        oddities=tuple(oddities),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def figure(value: object) -> float | None:
    """A non-negative finite number, or None for anything else a server may send."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < float("inf") else None


def llama_timings(timings: dict[str, Any]) -> EngineTimings:
    """llama.cpp's `timings` object (server README, "timings")."""
    return EngineTimings(
        prefill_tps=figure(timings.get("prompt_per_second")),
        decode_tps=figure(timings.get("predicted_per_second")),
        prefill_ms=figure(timings.get("prompt_ms")),
        decode_ms=figure(timings.get("predicted_ms")),
    )
