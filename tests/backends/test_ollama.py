"""Ollama's own wire, with what the real server adds: durations, sizes on the GPU, thinking, unloading."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from envcheck.backends import _http
from envcheck.backends.ollama import BACKEND, OllamaEngine, address_of, events
from envcheck.host import Host
from envcheck.schema.backend import Ability, Ended, Message, Request, Tool
from envcheck.schema.errors import EnvcheckError, InputError
from tests.validate.scripted import CLOSE, RESET, ScriptedServer, Step

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
MIB = 1024 * 1024
CHAT = Request(id="q", messages=(Message(role="user", content="Hello?"),), max_tokens=16)


def line(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def document(value: object, status: str = "200 OK") -> list[Step]:
    body = json.dumps(value).encode()
    return [f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body, CLOSE]


LAST = {
    "done": True, "done_reason": "stop", "total_duration": 5_000_000_000, "load_duration": 1_000_000_000,
    "prompt_eval_count": 20, "prompt_eval_duration": 500_000_000, "eval_count": 30, "eval_duration": 1_500_000_000,
}  # fmt: skip
ANSWER = (
    line(message={"role": "assistant", "content": "", "thinking": "hm"}, done=False)
    + line(message={"role": "assistant", "content": "Hé"}, done=False)
    + line(message={"role": "assistant", "content": "llo"}, done=False)
    + line(message={"role": "assistant", "content": ""}, **LAST)
)
LOADED = {
    "models": [{"name": "m:1b", "size": 1000 * MIB, "size_vram": 250 * MIB, "digest": "d1g", "context_length": 4096}]
}
EMPTY: dict[str, object] = {"models": []}


@pytest.mark.parametrize("cut", range(0, len(ANSWER), 11))
def test_a_line_may_be_cut_anywhere(cut: int) -> None:
    exchange = events([(1, ANSWER[:cut]), (2, ANSWER[cut:])], "application/x-ndjson")
    assert (exchange.ended, "".join(p.text for p in exchange.pieces)) == ("complete", "Héllo")
    assert exchange.pieces[0].reasoning == "hm"
    assert (exchange.prompt_tokens, exchange.output_tokens, exchange.finish_reason) == (20, 30, "stop")
    assert (exchange.timings.prefill_tps, exchange.timings.decode_tps) == (40, 20)
    assert exchange.timings.load_ms == 1000


@pytest.mark.parametrize(
    ("stream", "ended", "text"),
    [
        (ANSWER.rstrip(b"\n"), "complete", "Héllo"),
        (b"nonsense\n[]\n7\n" + ANSWER, "complete", "Héllo"),
        (line(message=7) + line(message={"content": 7}) + ANSWER, "complete", "Héllo"),
        (ANSWER[: ANSWER.index(b'{"message": {"role": "assistant", "content": ""}, "done": true')], "cut", "Héllo"),
        (
            line(message={"content": "H"}, done=False) + line(error="model runner has unexpectedly stopped"),
            "refused",
            "H",
        ),
        (b"", "cut", ""),
    ],
)
def test_streams_that_are_odd(stream: bytes, ended: Ended, text: str) -> None:
    exchange = events([(1, stream)] if stream else [], "")
    assert (exchange.ended, "".join(p.text for p in exchange.pieces)) == (ended, text)


def test_a_gateway_that_measures_nothing_gives_no_figures() -> None:
    zeroed = {**LAST, "prompt_eval_duration": 0, "eval_duration": 0, "load_duration": 0}
    found = events([(1, line(**zeroed))], "").timings
    assert (found.prefill_tps, found.decode_tps, found.load_ms) == (None, None, None)


def test_a_model_partly_on_the_gpu_is_said_to_be() -> None:
    with ScriptedServer(document(LOADED)) as server:
        words = OllamaEngine(_http.address(server.url.removesuffix("/v1")), "m:1b", "0.13").device()
    assert (words.device, words.gpu_share) == ("gpu", 0.25)
    assert words.says == "/api/ps: size_vram 250 MiB of size 1000 MiB"


def test_what_was_not_loaded_before_is_unloaded_again() -> None:
    load = document({"done": True, "load_duration": 2_000_000_000})
    with ScriptedServer(document(EMPTY), load, document({"done": True})) as server:
        engine = OllamaEngine(_http.address(server.url.removesuffix("/v1")), "m:1b", "0.13")
        engine.load()
        engine.close()
    assert engine.load_ms == 2000
    assert json.loads(server.requests[2].partition(b"\r\n\r\n")[2])["keep_alive"] == 0


def test_what_was_loaded_before_stays() -> None:
    with ScriptedServer(document(LOADED), document({"done": True, "load_duration": 1})) as server:
        engine = OllamaEngine(_http.address(server.url.removesuffix("/v1")), "m:1b", "0.13")
        engine.load()
        engine.close()
    assert engine.load_ms is None
    assert len(server.requests) == 2


def test_a_model_that_does_not_load_says_why() -> None:
    too_big = document({"error": "model requires more system memory (12 GiB) than is available (8 GiB)"}, "500 Error")
    with (
        ScriptedServer(document(EMPTY), too_big) as server,
        pytest.raises(EnvcheckError, match="requires more system memory"),
    ):
        OllamaEngine(_http.address(server.url.removesuffix("/v1")), "m:1b", "0.13").load()


def test_raw_completions_go_to_generate() -> None:
    with ScriptedServer(document(EMPTY), [HEAD + line(response=" 5", **LAST), CLOSE]) as server:
        engine = OllamaEngine(_http.address(server.url.removesuffix("/v1")), "m:1b", "0.13")
        exchange = engine.ask(Request(id="c", completion="1 2", max_tokens=4, seed=9), 5.0, 2.0)
    assert "".join(p.text for p in exchange.pieces) == " 5"
    head, _, body = server.requests[1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/generate ")
    sent = json.loads(body)
    assert sent["raw"] is True
    assert sent["options"] == {"temperature": 0.0, "seed": 9, "num_predict": 4}


@pytest.mark.parametrize(
    ("shown", "claimed"),
    [
        ({"capabilities": ["completion", "tools"]}, ["text", "tools"]),
        ({"capabilities": ["completion", "vision", "embedding"]}, ["text", "vision", "embedding"]),
        ({"capabilities": ["embedding"]}, ["embedding"]),
        ({"capabilities": "all"}, ["text"]),
        ({}, ["text"]),
        ([], ["text"]),
    ],
)
def test_only_what_is_listed_is_claimed(shown: object, claimed: list[str]) -> None:
    with ScriptedServer(document(EMPTY), document(shown)) as server:
        engine = OllamaEngine(_http.address(server.url.removesuffix("/v1")), "m:1b", "0.13")
        assert [ability for ability in get_args(Ability) if engine.claims(ability).claimed] == claimed


def test_tools_and_pictures_go_out_in_ollamas_shape() -> None:
    call = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    said = line(message={"role": "assistant", "content": "", "tool_calls": [call]}, done=False) + line(**LAST)
    tool = Tool(name="get_weather", description="The weather", parameters={"type": "object"})
    request = Request(id="q", messages=(Message(role="user", content="See?", png=b"\x89PNG"),), tools=(tool,))
    with ScriptedServer(document(EMPTY), [HEAD + said, CLOSE]) as server:
        engine = OllamaEngine(_http.address(server.url.removesuffix("/v1")), "m:1b", "0.13")
        exchange = engine.ask(request, 5.0, 2.0)
    sent = json.loads(server.requests[1].partition(b"\r\n\r\n")[2])
    assert sent["messages"] == [{"role": "user", "content": "See?", "images": ["iVBORw=="]}]
    assert sent["tools"][0]["function"]["name"] == "get_weather"
    assert json.loads(exchange.pieces[0].tool) == [call]


def test_a_runner_that_dies_keeps_what_it_said() -> None:
    with ScriptedServer(document(EMPTY), [HEAD + line(message={"content": "He"}, done=False), 0.1, RESET]) as server:
        engine = OllamaEngine(_http.address(server.url.removesuffix("/v1")), "m:1b", "0.13")
        exchange = engine.ask(CHAT, 5.0, 2.0)
    assert (exchange.ended, exchange.pieces[0].text) == ("cut", "He")


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("127.0.0.1:9999", "http://127.0.0.1:9999"),
        ("http://127.0.0.1", "http://127.0.0.1:11434"),
        ("https://models.example", "https://models.example:443"),
        ("[::1]:9", "http://[::1]:9"),
    ],
)
def test_where_ollama_host_points(named: str, url: str) -> None:
    assert address_of(Host(env={"OLLAMA_HOST": named})).url == url


def test_discovery_lists_models_smallest_first() -> None:
    tags = {"models": [{"name": "big", "size": 9}, {"name": "small", "size": 1}, {"noname": 1}]}
    with ScriptedServer(document({"version": "0.13.0"}), document(tags)) as server:
        found = BACKEND.discover(Host(env={"OLLAMA_HOST": server.url.removesuffix("/v1")}))
    assert [(c.model, c.state, c.version) for c in found] == [
        ("small", "running", "0.13.0"),
        ("big", "running", "0.13.0"),
    ]


def test_a_named_server_with_several_models_wants_a_name() -> None:
    tags = {"models": [{"name": "a:latest", "size": 9}, {"name": "b", "size": 1}]}
    with ScriptedServer(
        document({"version": "1"}), document(tags), document({"version": "1"}), document(tags)
    ) as server:
        assert BACKEND.at(Host(), server.url, "a").model == "a:latest"
        with pytest.raises(InputError, match="b, a:latest"):
            BACKEND.at(Host(), server.url, None)
