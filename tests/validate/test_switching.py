"""Loading and unloading over and over, without an engine."""

from __future__ import annotations

import pytest

from envcheck.backends import _http
from envcheck.backends.openai_compatible import OpenAiEngine
from envcheck.host import Host
from envcheck.schema.backend import Candidate, Engine, Progress, Request
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.run import LoadCycle
from envcheck.validate import switching
from tests.validate.scripted import CLOSE, DONE, HEAD, ScriptedServer, finish, text_event

REQUEST = Request(id="q", completion="1 2", max_tokens=2)


class Counting:
    """Opens a scripted server; refuses from the third time on."""

    name = "counting"

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened = 0

    def discover(self, host: Host) -> tuple[Candidate, ...]:
        return ()

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> Engine:
        self.opened += 1
        if self.opened > 2:
            raise EnvcheckError("out of memory")
        return OpenAiEngine(_http.address(self.url), "m", {})


def test_cycles_end_at_the_first_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switching, "SETTLE_S", 0.0)
    with ScriptedServer([HEAD + text_event("3") + finish() + DONE, CLOSE]) as server:
        backend = Counting(server.url)
        found = switching.cycles(
            Host(), backend, Candidate(backend="c", state="running", why=""), REQUEST, 5, lambda s: None
        )
    assert [bool(cycle.error) for cycle in found] == [False, False, True]
    assert all(cycle.first_token_ms is not None for cycle in found[:2])


def cycle(gpu: float | None = None, server: float | None = None, error: str = "") -> LoadCycle:
    return LoadCycle(load_ms=1.0, gpu_used_mib=gpu, server_mib=server, error=error)


@pytest.mark.parametrize(
    ("found", "leaked", "words"),
    [
        ((cycle(gpu=1000.0), cycle(gpu=1010.0)), False, "GPU memory +10 MiB over 2 cycles"),
        ((cycle(gpu=1000.0), cycle(gpu=1500.0), cycle(gpu=2000.0)), True, "GPU memory +1000 MiB over 3 cycles"),
        ((cycle(server=60.0), cycle(server=300.0)), True, "server memory +240 MiB"),
        ((cycle(), cycle()), False, "processes are gone"),
        ((cycle(),), False, "fewer than two"),
        ((cycle(gpu=1.0), cycle(gpu=9999.0, error="died")), False, "fewer than two"),
    ],
)
def test_what_counts_as_a_leak(found: tuple[LoadCycle, ...], leaked: bool, words: str) -> None:
    said = switching.leak(found)
    assert said[0] is leaked
    assert words in said[1]
