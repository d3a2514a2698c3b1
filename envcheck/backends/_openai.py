"""OpenAI's wire: what is sent to `/v1/chat/completions` and `/v1/completions`, and what the events mean.

Shared by every backend that speaks it. Fields beyond the standard are taken where a server gives them: `timings`
(llama.cpp), `reasoning` and `reasoning_content` (vLLM, SGLang, llama.cpp, DeepSeek).
"""

from __future__ import annotations

import base64
import json
from typing import Any

from envcheck.backends import _http
from envcheck.backends._exchange import Read, count, figure
from envcheck.backends._sse import Decoder
from envcheck.schema.backend import Ended, EngineTimings, Exchange, Message, Piece, Request


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
    messages = [{"role": m.role, "content": _content(m)} for m in request.messages]
    return "/chat/completions", {**common, "messages": messages, **tools(request)}


def _content(message: Message) -> Any:
    """Plain text, or text and a picture as a data URL (OpenAI, "Images and vision")."""
    if not message.png:
        return message.content
    url = f"data:image/png;base64,{base64.b64encode(message.png).decode()}"
    return [{"type": "text", "text": message.content}, {"type": "image_url", "image_url": {"url": url}}]


def tools(request: Request) -> dict[str, Any]:
    """The field `tools`, the same on OpenAI's and Ollama's wire and in chat templates; empty without any."""
    if not request.tools:
        return {}
    described = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in request.tools]
    return {"tools": [{"type": "function", "function": function} for function in described]}


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
        prompt_tokens=count(seen.usage.get("prompt_tokens")),
        cached_tokens=count(details.get("cached_tokens")) if isinstance(details, dict) else None,
        output_tokens=count(seen.usage.get("completion_tokens")),
        timings=seen.timings,
        error=error,
        oddities=tuple(oddities),
    )


def llama_timings(timings: dict[str, Any]) -> EngineTimings:
    """llama.cpp's `timings` object (server README, "timings")."""
    return EngineTimings(
        prefill_tps=figure(timings.get("prompt_per_second")),
        decode_tps=figure(timings.get("predicted_per_second")),
        prefill_ms=figure(timings.get("prompt_ms")),
        decode_ms=figure(timings.get("predicted_ms")),
    )
