"""Tool calls, vectors and pictures: judged from every shape that servers send; and asked for only where claimed."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.backends._picture import plain_png
from envcheck.host import Host
from envcheck.schema.backend import Piece
from envcheck.schema.run import Answer, PromptRun, Run
from envcheck.validate import abilities, conclude, prompts
from envcheck.validate.run import Limits, validate
from tests.validate.scripted import CLOSE, DONE, HEAD, ScriptedServer, Step, delta, finish, text_event

HOST = Host()
PROMPTS = prompts.load()
ROWS = {row.id: row for row in PROMPTS.row}


def fragment(index: int, name: str | None = None, arguments: str | None = None) -> dict[str, object]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"index": index, "function": function}


def pieces(*fragments: Sequence[object]) -> list[Piece]:
    return [Piece(ns=at, tool=json.dumps(part)) for at, part in enumerate(fragments)]


PARIS = '{"city": "Paris"}'
CALLS: list[tuple[list[Piece], str, Answer]] = [
    (pieces([fragment(0, "get_weather", PARIS)]), "", "right"),
    (pieces([fragment(0, "get_weather", "")], [fragment(0, None, PARIS[:7])], [fragment(0, None, PARIS[7:])]),
     "", "right"),
    (pieces([{"function": {"name": "get_weather", "arguments": {"city": "Paris, France"}}}]), "", "right"),
    (pieces([fragment(0, "look_up", "{}")], [fragment(1, "get_weather", PARIS)]), "Let me see.", "right"),
    (pieces([fragment(0, "get_weather", '{"city": "Lyon"}')]), "", "wrong"),
    (pieces([fragment(0, "get_weather", '{"place": "Paris"}')]), "", "wrong"),
    (pieces([fragment(0, "get_weather", '{"city": "Par')]), "", "wrong"),
    (pieces([fragment(0, "get_weather", "[1]")]), "", "wrong"),
    (pieces([fragment(0, "search", PARIS)]), "", "wrong"),
    (pieces([7], [{"index": 0}], [{"function": 3}]), "", "empty"),
    ([], "It is sunny in Paris.", "wrong"),
    ([], " ", "empty"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "text", "answer"), CALLS)
def test_a_tool_call(made: list[Piece], text: str, answer: Answer) -> None:
    judged = abilities.judge_call(abilities.calls(made), text, ROWS["weather_tool"])
    assert judged.answer == answer, judged.why
    assert judged.why


@settings(max_examples=80, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(PARIS)), max_size=6),
    junk=st.lists(st.one_of(st.integers(), st.text(max_size=3), st.dictionaries(st.text(max_size=3), st.integers()))),
)
def test_arguments_may_be_cut_anywhere_and_junk_between_them_is_left_out(cuts: list[int], junk: list[object]) -> None:
    ends = [*sorted(cuts), len(PARIS)]
    parts = [PARIS[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    stream = pieces([fragment(0, "get_weather")], *[[fragment(0, None, part)] for part in parts])
    stream.insert(1, Piece(ns=0, tool=json.dumps([item for item in junk if not isinstance(item, dict)])))
    assert abilities.judge_call(abilities.calls(stream), "", ROWS["weather_tool"]).answer == "right"


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (((1.0, 0.0), (1.0,), (0.0, 1.0)), "different dimensions: 1, 2"),
        (((1.0, 0.0), (float("nan"), 1.0), (0.0, 1.0)), "no number"),
        (((1.0, 0.0), (0.0, 0.0), (0.0, 1.0)), "is zero"),
        (((1.0, 0.0), (0.9, 0.1), (0.0, 1.0)), ""),
    ],
)
def test_vectors_that_cannot_be_right(vectors: tuple[tuple[float, ...], ...], words: str) -> None:
    broken = abilities.broken_vectors(vectors)
    assert words in broken
    assert bool(broken) == bool(words)


def test_similar_texts_lie_closer() -> None:
    near, far = (1.0, 0.1, 0.0), (0.0, 0.1, 1.0)
    assert abilities.judge_vectors((near, (0.9, 0.0, 0.1), far)).answer == "right"
    assert abilities.judge_vectors((near, far, (0.9, 0.0, 0.1))).answer == "wrong"
    same = abilities.judge_vectors((near, near, near))
    assert (same.answer, "1.000" in same.why) == ("wrong", True)


@settings(max_examples=40, deadline=None)
@given(colour=st.tuples(*[st.integers(0, 255)] * 3), side=st.integers(1, 40))
def test_the_picture_is_one_colour(colour: tuple[int, int, int], side: int) -> None:
    png = plain_png(*colour, side)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        chunks[body[:4]] = body[4:]
        at += 12 + length
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (side, side)
    lines = zlib.decompress(chunks[b"IDAT"])
    assert lines == (b"\0" + bytes(colour) * side) * side


def document(value: object, status: str = "200 OK") -> list[Step]:
    body = json.dumps(value).encode()
    kind = "Content-Type: application/json"
    return [f"HTTP/1.1 {status}\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body, CLOSE]


class Claiming(ScriptedServer):
    """Answers by what it is asked: a llama.cpp server that claims tools, vision and embeddings."""

    call: bytes = delta(tool_calls=[fragment(0, "get_weather", PARIS)])
    vectors: tuple[list[float | None], ...] = ([1.0, 0.0], [0.9, 0.1], [0.0, 1.0])
    colour = "Red."

    def _play(self, connection: object, script: object) -> None:
        super()._play(connection, self._script(self.requests[-1]))  # type: ignore[arg-type]

    def _script(self, asked: bytes) -> list[Step]:
        head, _, raw = asked.partition(b"\r\n\r\n")
        route = head.split()[1].decode()
        if route == "/v1/models":
            return document({"data": [{"id": "m", "owned_by": "llamacpp"}]})
        if route == "/props":
            return document({"chat_template_caps": {"supports_tools": True}, "modalities": {"vision": True}})
        body = json.loads(raw)
        if route == "/v1/embeddings":
            count = len(body["input"])
            return document({"data": [{"embedding": vector} for vector in self.vectors[:count]]})
        answer = self._answer(body)
        return [HEAD + answer + finish(prompt_tokens=9, completion_tokens=2) + DONE, CLOSE]

    def _answer(self, body: dict[str, object]) -> bytes:
        if "prompt" in body:
            return text_event(" 5 6 7 8")
        if "tools" in body:
            return self.call
        return delta(content=self.colour if "data:image/png;base64,iVBOR" in json.dumps(body) else "My name is Ada.")


def claimed(server: Claiming) -> tuple[Run, dict[str, PromptRun]]:
    with server:
        run = validate(HOST, backends=["llama.cpp"], url=server.url, limits=Limits(stall_s=60.0)).runs[0]
    return run, {prompt.kind: prompt for prompt in run.prompts}


def test_what_is_claimed_is_asked_and_judged() -> None:
    server = Claiming([CLOSE])
    run, found = claimed(server)
    assert run.status == "passed", run.why
    assert [found[kind].answer for kind in conclude.ABILITIES] == ["right"] * 3
    assert found["tool_call"].answer_text == 'get_weather({"city": "Paris"})'
    assert "2 dimensions" in found["embedding"].why
    last = next(json.loads(r.partition(b"\r\n\r\n")[2]) for r in reversed(server.requests) if b"My name is Ada" in r)
    assert [m["role"] for m in last["messages"]] == ["user", "assistant", "user"]
    assert (last["messages"][1]["content"], found["multi_turn"].answer) == ("My name is Ada.", "right")


def test_a_weak_answer_to_what_is_claimed_fails_nothing() -> None:
    server = Claiming([CLOSE])
    server.call, server.colour = delta(content="It rains."), "Blue."
    server.vectors = ([1.0, 0.0], [0.0, 1.0], [0.9, 0.1])
    run, found = claimed(server)
    assert run.status == "passed"
    assert [found[kind].answer for kind in conclude.ABILITIES] == ["wrong"] * 3


def test_a_claim_that_does_not_work_is_degraded() -> None:
    server = Claiming([CLOSE])
    server.vectors = ([1.0, None], [0.9, 0.1], [0.0, 1.0])
    run, found = claimed(server)
    assert run.status == "degraded"
    assert run.why.startswith("embedding is claimed and does not work (a vector holds something that is no number)")
    assert found["embedding"].answer == "not_judged"


def sent(kind: str, answer: Answer, error: str | None = None) -> PromptRun:
    return PromptRun(id=kind, kind=kind, passed=answer == "right", answer=answer, error=error)


def left_out(kind: str) -> PromptRun:
    return PromptRun(id=kind, kind=kind, passed=False, answer="not_judged", skipped_because="not claimed")


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (sent("embedding", "right"), "passed"),
        (sent("embedding", "wrong"), "degraded"),
        (sent("embedding", "not_judged", "HTTP 500"), "degraded"),
        (left_out("embedding"), "degraded"),
    ],
)
def test_a_model_for_embeddings_alone_is_proved_by_them(last: PromptRun, status: str) -> None:
    done = [left_out("fixed_answer"), left_out("multi_turn"), last]
    assert conclude.judged(done, 3, interrupted=False)[0] == status
