"""Fetching a model: Ollama's wire over a real socket, every way it may end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from envcheck.backends import _http, _pull
from envcheck.cli.models import COMMAND
from envcheck.host import Host
from envcheck.schema.errors import EnvcheckError
from tests.validate.scripted import CLOSE, RESET, ScriptedServer, Step

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
GIB = 1024**3


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def layer(completed: int, total: int = GIB, digest: str = "sha256:aa") -> bytes:
    return line(status=f"pulling {digest[7:]}", digest=digest, total=total, completed=completed)


START = line(status="pulling manifest")
END = line(status="verifying sha256 digest") + line(status="writing manifest") + line(status="success")


def pulled(script: Sequence[Step], free: int | None = 100 * GIB) -> list[str]:
    said: list[str] = []
    with ScriptedServer(script) as server:
        _pull.ollama(_http.address(server.url.removesuffix("/v1")), "m:1b", free, said.append)
    assert server.requests[0].startswith(b"POST /api/pull ")
    assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2]) == {"model": "m:1b", "stream": True}
    return said


def test_it_comes_with_progress() -> None:
    parts = [layer(part * GIB // 100) for part in range(101)]
    said = pulled([HEAD + START + b"".join(parts) + END, CLOSE])
    assert said[0] == "pulling manifest"
    assert said[1:22] == [f"{part} % of 1024 MiB" for part in range(0, 101, 5)]
    assert said[22:] == ["verifying sha256 digest", "writing manifest", "success"]


WHOLE = START + layer(0) + layer(GIB) + END


@pytest.mark.parametrize("cut", range(1, len(WHOLE), 23))
def test_a_line_may_be_cut_anywhere(cut: int) -> None:
    assert pulled([HEAD + WHOLE[:cut], WHOLE[cut:], CLOSE])[-1] == "success"


CASES: list[tuple[Sequence[Step], int | None, str]] = [
    ([HEAD + START + line(error="pull model manifest: file does not exist"), CLOSE], None, "file does not exist"),
    ([HEAD + START + layer(5), CLOSE], None, "before it had m:1b whole"),
    ([HEAD + START + layer(5), 0.05, RESET], None, "ask again"),
    ([HEAD, CLOSE], None, r"\(last: nothing\)"),
    ([HEAD + b"x" * (2 * _pull.LINE_LIMIT), CLOSE], None, "not Ollama's answer"),
    ([HEAD + START + layer(0), 30.0], GIB, "needs 1.0 GiB and 0.5 GiB to spare, and 1.0 GiB are free"),
    ([HEAD + START + layer(0) + layer(0, GIB, "sha256:bb"), 30.0], 2 * GIB, "needs 2.0 GiB"),
    ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", CLOSE], None, "HTTP 404"),
]


@pytest.mark.parametrize(("script", "free", "words"), CASES)
def test_it_ends_with_a_reason(script: Sequence[Step], free: int | None, words: str) -> None:
    with pytest.raises(EnvcheckError, match=words):
        pulled(script, free)


def test_what_is_there_already_needs_no_room() -> None:
    script: list[Step] = [HEAD + START + layer(GIB - 5) + b"noise\n[]\n" + layer(GIB) + END, CLOSE]
    assert pulled(script, free=GIB)[-1] == "success"


def test_a_server_that_is_gone() -> None:
    with ScriptedServer([CLOSE]) as server:
        to = _http.address(server.url)
    with pytest.raises(EnvcheckError, match="ollama serve"):
        _pull.ollama(to, "m", None, lambda line: None)


def test_where_the_store_is(tmp_path: Path) -> None:
    assert _pull.store(Host(env={"OLLAMA_MODELS": "/big/models"})) == Path("/big/models")
    assert _pull.store(Host(env={"HOME": str(tmp_path)})) == tmp_path / ".ollama/models"
    assert (_pull.free_bytes(tmp_path / "not" / "yet") or 0) > 0


def test_the_command_says_that_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([HEAD + WHOLE, CLOSE]) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url.removesuffix("/v1"))
        done = CliRunner().invoke(COMMAND, ["pull", "m:1b", "--from", "ollama"], standalone_mode=False)
    assert done.return_value == 0, done.output
    assert "connects to its registry" in done.output
    assert "m:1b is whole" in done.output
