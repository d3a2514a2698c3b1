"""What a server may do to a client, over a real socket: the answer so far is kept and the fault is named."""

from __future__ import annotations

import json
import time

import pytest

from envcheck.backends import _http
from envcheck.backends.openai_compatible import OpenAiEngine
from envcheck.schema.backend import Ended, Exchange, Message, Request
from tests.validate.scripted import (
    CHUNKED,
    CLOSE,
    DONE,
    HEAD,
    RESET,
    ScriptedServer,
    Step,
    chunk,
    delta,
    event,
    finish,
    text_event,
)

CHAT = Request(id="q", messages=(Message(role="user", content="Hello?"),), max_tokens=16)


def asked(script: list[Step], *, stall_s: float = 60.0, limit_s: float = 120.0, request: Request = CHAT) -> Exchange:
    with ScriptedServer(script) as server:
        return OpenAiEngine(_http.address(server.url), "m", {}).ask(request, limit_s, stall_s)


def text(exchange: Exchange) -> str:
    return "".join(piece.text for piece in exchange.pieces)


WHOLE = (
    delta(role="assistant", content=None)
    + delta(content="Hé")
    + delta(content="llo")
    + finish(prompt_tokens=3, completion_tokens=2)
    + DONE
)


def chunked(*parts: bytes) -> bytes:
    return CHUNKED + b"".join(chunk(part) for part in parts) + b"0\r\n\r\n"


def refusal(status: str, document: object) -> list[Step]:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return [head.encode() + body, CLOSE]


STALL_S = 3.0
"""Long enough for a busy machine to hand over what was sent before the silence."""
HALF = WHOLE.index("é".encode()) + 1

GARBAGE = b'data: {"choices": [}\n\n'
NO_OBJECTS = b"data: [1]\n\ndata: 7\n\ndata: null\n\n"
WRONG_TYPES = event(choices=[7]) + event(choices=[{"delta": 7}]) + event(choices={}, usage=7, timings=7)
BIG = "x" * 10_000_000
LOADING = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
CONTEXT = {"object": "error", "message": "max_tokens is larger than the context", "code": 400}
MOVED = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"
START = HEAD + delta(content="Hel")

FAULTS: dict[str, tuple[list[Step], Ended, str, str]] = {
    # name: script, how it ends, text that is kept, words of the error
    "everything in one read": ([HEAD + WHOLE, CLOSE], "complete", "Héllo", ""),
    "half a UTF-8 character": ([HEAD + WHOLE[:HALF], 0.05, WHOLE[HALF:], CLOSE], "complete", "Héllo", ""),
    "one HTTP chunk per byte": ([chunked(*(bytes([b]) for b in WHOLE)), CLOSE], "complete", "Héllo", ""),
    "no [DONE]": ([HEAD + WHOLE.removesuffix(DONE), CLOSE], "complete", "Héllo", ""),
    "garbage JSON between": ([HEAD + GARBAGE + WHOLE, CLOSE], "complete", "Héllo", ""),
    "JSON that is no object": ([HEAD + NO_OBJECTS + WHOLE, CLOSE], "complete", "Héllo", ""),
    "fields of wrong types": ([HEAD + WRONG_TYPES + WHOLE, CLOSE], "complete", "Héllo", ""),
    "comments and keep-alives": ([HEAD + b": ping\n\n" + WHOLE, CLOSE], "complete", "Héllo", ""),
    "a token of 10 MB": ([HEAD + delta(content=BIG) + finish() + DONE, CLOSE], "complete", BIG, ""),
    "closes in the middle": ([START, CLOSE], "cut", "Hel", "without a finish reason"),
    "closes inside a chunk": ([CHUNKED + b"40\r\n" + delta(content="H")[:20], CLOSE], "cut", "", "broke off"),
    "closes before its last chunk": ([CHUNKED + chunk(delta(content="Hel")), CLOSE], "cut", "Hel", ""),
    "resets in the middle": ([START, 0.1, RESET], "cut", "Hel", "broke off"),
    "closes without an answer": ([CLOSE], "cut", "", "could not be asked"),
    "not HTTP": ([b"SSH-2.0-OpenSSH_9.2\r\n", CLOSE], "cut", "", "could not be asked"),
    "stalls after the first words": ([START, 120.0], "stalled", "Hel", "nothing came for 3 s"),
    "stalls before its headers": ([120.0], "stalled", "", "nothing came for 3 s"),
    "loading": (refusal("503 Service Unavailable", LOADING), "refused", "", "HTTP 503: Loading model"),
    "context too long": (refusal("400 Bad Request", CONTEXT), "refused", "", "HTTP 400: max_tokens is larger"),
    "engine dies inside": (refusal("500 Error", {"detail": "EngineDeadError"}), "refused", "", "EngineDeadError"),
    "moved elsewhere": ([MOVED, CLOSE], "refused", "", "HTTP 302"),
    "error inside the stream": ([START + event(error={"message": "out of memory"}), CLOSE], "refused", "Hel", "memory"),
    "empty stream": ([HEAD, CLOSE], "cut", "", "without a finish reason"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    script, ended, said, error = FAULTS[name]
    exchange = asked(script, stall_s=STALL_S if ended == "stalled" else 60.0)
    assert (exchange.ended, text(exchange)) == (ended, said)
    assert error in exchange.error
    assert bool(exchange.error) == (ended != "complete")


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 7))
def test_an_event_may_be_cut_anywhere(cut: int) -> None:
    exchange = asked([HEAD + WHOLE[:cut], 0.01, WHOLE[cut:], CLOSE])
    assert (exchange.ended, text(exchange), exchange.output_tokens) == ("complete", "Héllo", 2)


def test_nobody_listens() -> None:
    with ScriptedServer([CLOSE]) as server:
        gone = _http.address(server.url)
    exchange = OpenAiEngine(gone, "m", {}).ask(CHAT, 120.0, 60.0)
    assert (exchange.ended, exchange.pieces) == ("unreachable", ())


def test_an_answer_without_end_is_stopped_at_its_limit() -> None:
    script: list[Step] = [HEAD]
    for _ in range(1200):
        script += [delta(content="x"), 0.05]
    started = time.monotonic()
    exchange = asked(script, limit_s=0.4)
    assert exchange.ended == "too_long"
    assert time.monotonic() - started < 30
    assert text(exchange).startswith("x")


def test_a_role_chunk_is_no_token() -> None:
    exchange = asked(
        [HEAD + delta(role="assistant", content=None) + delta(role="assistant", content=""), 0.2, WHOLE, CLOSE]
    )
    assert [piece.text for piece in exchange.pieces] == ["Hé", "llo"]
    assert exchange.pieces[0].ns - exchange.sent_ns > 150_000_000


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart_from_the_answer(field: str) -> None:
    exchange = asked([HEAD + delta(**{field: "hmm"}) + WHOLE, CLOSE])
    assert [(p.reasoning, p.text) for p in exchange.pieces] == [("hmm", ""), ("", "Hé"), ("", "llo")]
    assert text(exchange) == "Héllo"


def test_a_server_that_does_not_stream_is_read_whole() -> None:
    document = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    exchange = asked([head + body, CLOSE])
    assert (exchange.ended, text(exchange), exchange.output_tokens) == ("complete", "Hi", 1)
    assert "did not stream" in exchange.oddities[0]


def test_missing_usage_and_done_are_noted() -> None:
    exchange = asked([HEAD + delta(content="a") + finish(), CLOSE])
    assert exchange.output_tokens is None
    assert exchange.oddities == ("the stream ended without [DONE]", "the server sent no token counts")


def test_what_is_sent() -> None:
    with ScriptedServer([HEAD + text_event("a") + finish() + DONE, CLOSE]) as server:
        engine = OpenAiEngine(_http.address(server.url), "m", {"Authorization": "Bearer k"})
        engine.ask(Request(id="c", completion="1 2", max_tokens=4, seed=9), 120.0, 60.0)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/completions HTTP/1.1\r\n")
    assert b"Authorization: Bearer k" in head
    sent = json.loads(body)
    assert sent == {
        "model": "m",
        "prompt": "1 2",
        "max_tokens": 4,
        "temperature": 0.0,
        "seed": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
