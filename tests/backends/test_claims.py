"""What servers are taken to offer beyond text, from their own words, the model's files, or a prompt of one token."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from envcheck.backends import _abilities, _http, _target, _xllamacpp, embedded
from envcheck.backends._served import ServedEngine, tool_parser
from envcheck.backends.llama_cpp import BACKEND as LLAMA_CPP
from envcheck.backends.sglang import BACKEND as SGLANG
from envcheck.backends.vllm import BACKEND as VLLM
from envcheck.child import Child
from envcheck.host import Host
from envcheck.schema.backend import Ability, Candidate, Message
from envcheck.validate import abilities, prompts
from envcheck.validate.run import Limits, validate
from tests.backends.test_ollama import document
from tests.validate.scripted import ScriptedServer, Step

NO_PARSER = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
ANSWER = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}]}
VECTOR = {"data": [{"embedding": [0.5, 0.25]}]}
HERMES = "{% for tool in tools %}{{ tool }}{% endfor %}<tool_call>"
VERSION = document({"version": "0.32.0"})


def refused(words: str, status: str = "400 Bad Request") -> list[Step]:
    return document({"error": {"message": words}}, status)


@pytest.mark.parametrize(
    ("kind", "ability", "here", "scripts", "claimed", "words"),
    [
        (VLLM, "tools", {}, [VERSION, refused(NO_PARSER)], False, "--enable-auto-tool-choice"),
        (VLLM, "tools", {}, [VERSION, document(ANSWER)], True, "takes it"),
        (VLLM, "tools", {"template": HERMES}, [VERSION, document(ANSWER)], True, "takes it"),
        (VLLM, "tools", {"template": "{{ messages }}"}, [VERSION], False, "no place for tools"),
        (SGLANG, "tools", {}, [document({"tool_call_parser": None})], False, "without a tool_call_parser"),
        (SGLANG, "tools", {}, [document({"tool_call_parser": "qwen25"}), document(ANSWER)], True, "takes it"),
        (VLLM, "vision", {"sees": False}, [VERSION], False, "no encoder for pictures"),
        (VLLM, "vision", {"sees": True}, [document(ANSWER)], True, "takes it"),
        (VLLM, "vision", {}, [refused("m is not a multimodal model")], False, "not a multimodal model"),
        (SGLANG, "vision", {}, [document({"has_image_understanding": True})], True, "is true"),
        (SGLANG, "vision", {"sees": True}, [document({"has_image_understanding": False})], False, "is false"),
        (SGLANG, "vision", {}, [document({}), refused("no images, please")], False, "no images, please"),
        (VLLM, "embedding", {}, [document(VECTOR)], True, "answers"),
        (VLLM, "text", {}, [document(VECTOR), refused("no Completions API here")], False, "Completions"),
        (VLLM, "text", {}, [document(VECTOR), document(ANSWER)], True, "every model"),
        (VLLM, "text", {}, [refused("Not Found", "404 Not Found")], True, "every model"),
    ],
)  # fmt: skip
def test_a_claim(
    kind: object, ability: Ability, here: dict[str, object], scripts: Sequence[list[Step]], claimed: bool, words: str
) -> None:
    candidate = Candidate(backend="x", state="running", why="", model="m")
    with ScriptedServer(*scripts) as server:
        to = _http.address(server.url.removesuffix("/v1"))
        folder = _target.ModelFolder(**here)  # type: ignore[arg-type]
        claim = ServedEngine(kind.kind, to, candidate, None, folder).claims(ability)  # type: ignore[attr-defined]
    assert claim.claimed is claimed
    assert words in claim.says


def test_a_server_that_is_gone_claims_no_tools_and_says_so() -> None:
    with ScriptedServer(document({})) as server:
        to = _http.address(server.url)
    claim = _abilities.takes_tools(to, "/chat/completions", "m")
    assert not claim.claimed
    assert "did not answer" in claim.says


@pytest.mark.parametrize(
    ("template", "parser"),
    [
        (HERMES, "hermes"),
        ("{{ tools }}<|python_tag|>", "llama3_json"),
        ("{{ tools }}[TOOL_CALLS]", "mistral"),
        ("{{ tools }}<tool_call><function=name>", None),
        ("{{ messages }}<tool_call>", None),
        ("{{ tools }}", None),
        ("", None),
    ],
)
def test_the_parser_that_fits_a_template(template: str, parser: str | None) -> None:
    assert tool_parser(template) == parser


def test_a_running_server_names_its_model_on_this_machine(tmp_path: Path) -> None:
    def listed(root: object) -> list[Step]:
        return document({"data": [{"id": "m", "owned_by": "vllm", "root": root}]})

    with ScriptedServer(listed(str(tmp_path)), listed(f"{tmp_path}/gone"), listed("org/m"), listed(7)) as server:
        paths = [VLLM.at(Host(env={}), server.url, None).path for _ in range(4)]
    assert paths == [str(tmp_path), "", "", ""]


def test_sglang_is_asked_for_its_model_by_its_own_route(tmp_path: Path) -> None:
    rows = document({"data": [{"id": "m", "owned_by": "sglang", "root": "m"}]})
    with ScriptedServer(rows, document({"model_path": str(tmp_path)})) as server:
        assert SGLANG.at(Host(env={}), server.url, None).path == str(tmp_path)
    assert b"GET /get_model_info " in server.requests[1]


@pytest.mark.parametrize("gpu", [False, True])
def test_a_llama_cpp_server_names_its_file_and_runs_where_it_can(tmp_path: Path, gpu: bool) -> None:
    root = tmp_path / "machine"
    (root / "dev").mkdir(parents=True)
    (root / "m.gguf").touch()
    if gpu:
        (root / "dev/nvidiactl").touch()
    rows = document({"data": [{"id": "m", "owned_by": "llamacpp"}]})
    host = Host(root)
    with ScriptedServer(rows, document({"model_path": "/m.gguf"})) as server:
        candidate = LLAMA_CPP.at(host, server.url, None)
        words = LLAMA_CPP.open(host, candidate, lambda line: None).device()
    assert candidate.path == "/m.gguf"
    assert candidate.device_expected == ("cuda" if gpu else "cpu")
    assert words.device == ("unknown" if gpu else "cpu")


@pytest.mark.parametrize("path", ["", "relative/m.gguf", "/nonexistent/m.gguf", "/etc\0/passwd", 7, None])
def test_a_path_that_is_not_here_is_none(path: object) -> None:
    assert _target.path_here(Host(), path) == ""


SERVER = """
import json, sys, time, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.model_alias = sys.argv[1], {"m"}
parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 1024
parameters.n_parallel = parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
if len(sys.argv) > 2:
    parameters.use_jinja, parameters.chat_template = True, sys.argv[2]
else:
    parameters.embedding, parameters.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
parameters.hostnames, parameters.port = ["127.0.0.1"], 0
server = xllamacpp.Server(parameters)
print(json.dumps({"url": server.listening_address}), flush=True)
time.sleep(3600)
"""


CALLING = """
{%- if tools %}<|im_start|>system
You may call functions within <tool_call></tool_call>:
<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.tool_calls %}<|im_start|>assistant
{% for call in message.tool_calls %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""Calls as Hermes and Qwen write them; the model under test was never taught any, so it is shown three first."""
CITIES = ("Rome", "Oslo", "Lima")
has_engine = pytest.mark.skipif(
    find_spec("xllamacpp") is None or embedded.weights() is None, reason="the embedded extra is not installed"
)


def real_server(*arguments: str) -> Child:
    command = [sys.executable, "-c", SERVER, str(embedded.weights()), *arguments]
    return Child(command, dict(os.environ), label="the server")


@pytest.mark.real_server
@has_engine
def test_a_real_server_embeds_similar_texts_close_together() -> None:
    with real_server() as child:
        url = _xllamacpp.ready_url(child, 300.0)
        run = validate(Host(), backends=[f"llama.cpp={url}"], limits=Limits(prompt_s=600.0, stall_s=300.0)).runs[0]
    prompt = next(p for p in run.prompts if p.kind == "embedding")
    assert (prompt.answer, prompt.error, prompt.skipped_because) == ("right", None, "")
    assert prompt.why.startswith("576 dimensions")


@pytest.mark.real_server
@has_engine
def test_a_real_server_passes_on_a_tool_call_piece_by_piece() -> None:
    asked = prompts.load()
    row = next(row for row in asked.row if row.kind == "tool_call")
    turns: list[Message] = []
    for city in CITIES:
        shown = f'<tool_call>\n{{"name": "get_weather", "arguments": {{"city": "{city}"}}}}\n</tool_call>'
        turns += [
            Message(role="user", content=row.prompt.replace("Paris", city)),
            Message(role="assistant", content=shown),
        ]
    request = asked.request(row)
    request = msgspec.structs.replace(request, messages=(*turns, *request.messages))
    with real_server(CALLING) as child:
        candidate = LLAMA_CPP.at(Host(), _xllamacpp.ready_url(child, 300.0), None)
        engine = LLAMA_CPP.open(Host(), candidate, lambda line: None)
        claim = engine.claims("tools")
        exchange = engine.ask(request, 600.0, 300.0)
    assert claim.claimed, claim.says
    assert exchange.ended == "complete", exchange.error
    assert sum(bool(piece.tool) for piece in exchange.pieces) > 2
    judged = abilities.judge_call(abilities.calls(exchange.pieces), "", row)
    assert judged.answer == "right", judged.why
