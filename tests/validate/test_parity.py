"""Tokens of two devices set side by side: rehearsed with two engines on the processor."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import msgspec
import pytest

from envcheck.backends import _xllamacpp, embedded, transformers
from envcheck.backends._stores import local_models
from envcheck.host import Host
from envcheck.schema.backend import Candidate, Engine, Progress
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.run import Run, RunStatus
from envcheck.validate import parity
from envcheck.validate.parity import Tokens

HOST = Host()
SAME = Tokens(counted=(5, 6, 7), open=(1, 2, 3, 4))
CANDIDATE = Candidate(backend="embedded", state="startable", why="", model="m", device_expected="cuda")
ON_GPU = Run(backend="embedded", model="m", status="passed", why="", device_used="cuda")


class Counting:
    """An engine and its backend, with the tokens that it is to give."""

    name = "embedded"

    def __init__(self, seen: Tokens | None) -> None:
        self.seen = seen
        self.closed = 0
        self.opened: list[Candidate] = []

    def greedy(self, text: str, count: int, limit_s: float) -> tuple[int, ...]:
        if self.seen is None:
            raise EnvcheckError("gave no ids")
        return self.seen.counted if text == parity.COUNTED else self.seen.open

    def settings(self) -> dict[str, str]:
        return {"dtype": self.seen.precision} if self.seen else {}

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> Engine:
        self.opened.append(candidate)
        if self.seen is None:
            raise EnvcheckError("no room")
        return self  # type: ignore[return-value]

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("processor", "status", "first", "words"),
    [
        (SAME, "passed", None, "all 4 tokens"),
        (Tokens(counted=(5, 6, 7), open=(1, 2, 9, 4)), "passed", 2, "differs from token 2"),
        (Tokens(counted=(5, 6, 7), open=(1, 2)), "passed", 2, "differs from token 2"),
        (Tokens(counted=(5, 9, 7), open=(1, 2, 3, 4)), "degraded", None, "where there is no choice"),
        (None, "skipped", None, "did not start on the processor: no room"),
        (
            Tokens(counted=(5, 6, 7), open=(1, 2, 3, 4), precision="float32"),
            "passed",
            None,
            "weights in an unknown format there, float32 here",
        ),
    ],
)
def test_what_a_difference_means(processor: Tokens | None, status: RunStatus, first: int | None, words: str) -> None:
    backend = Counting(processor)
    run = parity.held(HOST, backend, CANDIDATE, ON_GPU, SAME, lambda line: None)  # type: ignore[arg-type]
    assert run.parity is not None
    assert (run.parity.status, run.parity.first_difference) == (status, first)
    assert words in run.parity.says
    assert run.status == ("degraded" if status == "degraded" else "passed")
    assert backend.opened[0].device == "cpu"
    assert backend.closed == (processor is not None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device_used": "cpu"}, "no GPU to compare with"),
        ({"device_used": "unknown"}, "where it ran is not known"),
        ({"status": "failed"}, "did not end well"),
    ],
)
def test_nothing_to_compare(changes: dict[str, str], words: str) -> None:
    found = parity.sampled(Counting(SAME), CANDIDATE, msgspec.structs.replace(ON_GPU, **changes))  # type: ignore[arg-type]
    assert not isinstance(found, Tokens)
    assert (found.status, words in found.says) == ("skipped", True)


def test_a_server_of_somebody_else_is_not_started_twice() -> None:
    running = msgspec.structs.replace(CANDIDATE, state="running")
    found = parity.sampled(Counting(SAME), running, ON_GPU)  # type: ignore[arg-type]
    assert not isinstance(found, Tokens)
    assert "second time" in found.says


def test_weights_that_do_not_fit_beside_what_runs_are_not_loaded() -> None:
    backend = Counting(SAME)
    found = parity.with_processor(HOST, backend, CANDIDATE, SAME, 1e12, lambda line: None)  # type: ignore[arg-type]
    assert (found.status, backend.opened) == ("skipped", [])


@pytest.mark.real_server
@pytest.mark.skipif(
    find_spec("xllamacpp") is None or embedded.weights() is None, reason="the embedded extra is not installed"
)
def test_two_engines_with_different_threads_give_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = embedded.BACKEND.discover(HOST)[0]
    monkeypatch.setattr(_xllamacpp, "threads", lambda: 1)
    engine = embedded.BACKEND.open(HOST, candidate, lambda line: None)
    try:
        seen = parity.tokens(engine)
    finally:
        engine.close()
    assert (len(seen.counted), len(seen.open)) == (parity.COUNTED_TOKENS, parity.OPEN_TOKENS)
    monkeypatch.setattr(_xllamacpp, "threads", lambda: 2)
    found = parity.with_processor(HOST, embedded.BACKEND, candidate, seen, 92.0, lambda line: None)
    assert (found.status, found.compared) == ("passed", parity.OPEN_TOKENS), found.says


HF_MODEL = next((m for m in local_models(HOST) if m.kind == "safetensors"), None)


@pytest.mark.heavy
@pytest.mark.skipif(
    HF_MODEL is None or any(find_spec(name) is None for name in ("torch", "transformers")),
    reason="torch, transformers or a safetensors model (ENVCHECK_MODELS) is not here",
)
def test_two_precisions_of_transformers_are_reported_as_what_they_are() -> None:
    assert HF_MODEL is not None
    host = Host(target_python=sys.executable)
    candidate = Candidate(backend="transformers", state="startable", why="", model=HF_MODEL.name, path=HF_MODEL.path)
    child = transformers._worker(host)
    try:
        order = {"op": "load", "path": HF_MODEL.path, "device": "cpu", "dtype": "bfloat16"}
        child.write(json.dumps(order).encode())
        engine = transformers.TransformersEngine(child, "m", transformers._until_loaded(child, lambda line: None), 1.0)
        seen = parity.tokens(engine, 600.0)
    finally:
        child.stop()
    assert seen.precision == "bfloat16"
    assert len(seen.counted) == parity.COUNTED_TOKENS
    found = parity.with_processor(host, transformers.BACKEND, candidate, seen, None, lambda line: None)
    assert found.status == "passed", found.says
    assert "weights in bfloat16 there, float32 here" in found.says
