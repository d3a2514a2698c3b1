"""llama-server as it is found on PATH and started: with which model, told what, and where it says that it runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from envcheck.backends import _stores, _target
from envcheck.backends._stores import LocalModel
from envcheck.backends.llama_cpp import BACKEND, OwnServer
from envcheck.host import Host
from envcheck.schema.backend import Candidate
from envcheck.schema.errors import InputError
from envcheck.validate import choose

SERVER = """#!{python}
import http.server, os, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass
print({log}, os.environ.get("LLAMA_ARG_LOG_VERBOSITY"), file=sys.stderr, flush=True)
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Healthy).serve_forever()
"""
BUFFERS = "load_tensors:   CPU_Mapped model buffer size =    92.10 MiB"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "away" / "small.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF")
    return path


def machine(folder: Path, log: str = "") -> Host:
    """This machine with a llama-server that is well and says `log`, and with no model of its own."""
    program = folder / "bin" / "llama-server"
    program.parent.mkdir()
    program.write_text(SERVER.format(python=sys.executable, log=json.dumps(log)))
    program.chmod(0o755)
    path = os.pathsep.join((str(program.parent), os.defpath))
    return Host(env={"PATH": path, "HOME": str(folder)}, ports=False)


def chosen(host: Host, model: str) -> Candidate:
    (target,) = choose.targets(host, ["llama.cpp"], None, model).chosen
    assert isinstance(target, Candidate)
    return target


@pytest.mark.parametrize("way", ["absolute", "relative", "home"])
def test_a_model_may_be_given_by_its_path(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.chdir(model.parent)
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {"absolute": str(model), "relative": "small.gguf", "home": "~/away/small.gguf"}[way]
    candidate = chosen(machine(tmp_path), given)
    assert (candidate.state, candidate.path, candidate.model) == ("startable", str(model), "small")


@pytest.mark.parametrize("names", [["llama.cpp"], ["embedded"], None])
def test_a_path_with_nothing_there_is_said(tmp_path: Path, names: list[str] | None) -> None:
    with pytest.raises(InputError, match="no model at "):
        choose.targets(machine(tmp_path), names, None, str(tmp_path / "gone.gguf"))


@pytest.mark.parametrize(
    ("log", "expected", "device", "share"),
    [
        (BUFFERS, "cpu", "cpu", 0.0),
        (BUFFERS, "cuda", "cpu", 0.0),
        ("", "cpu", "cpu", 0.0),
        ("", "cuda", "unknown", None),
    ],
)
def test_where_a_started_server_runs(
    tmp_path: Path, model: Path, log: str, expected: str, device: str, share: float | None
) -> None:
    host = machine(tmp_path, log)
    candidate = Candidate(
        backend="llama.cpp", state="startable", why="", model="small", path=str(model), device_expected=expected
    )
    engine = BACKEND.open(host, candidate, lambda line: None)
    try:
        assert isinstance(engine, OwnServer)
        words = engine.device()
        assert (words.device, words.gpu_share) == (device, share)
        assert words.memory_mib == ({"weights": 92.1} if log else {})
    finally:
        engine.close()


def test_it_is_told_to_log_its_buffers(tmp_path: Path, model: Path) -> None:
    host = machine(tmp_path)
    engine = BACKEND.open(host, chosen(host, str(model)), lambda line: None)
    try:
        assert isinstance(engine, OwnServer)
        assert engine._started.child.log().split()[-1] == "4"
    finally:
        engine.close()


def packaged(monkeypatch: pytest.MonkeyPatch, found: dict[str, str] | str, *, own: bool) -> None:
    monkeypatch.setattr(_target, "modules", lambda host, wanted: found)
    monkeypatch.setattr(_target, "is_own", lambda python: own)


def bare(folder: Path, monkeypatch: pytest.MonkeyPatch, *, weights: bool = True) -> Host:
    """This machine without a llama-server, whose only model is the embedded one."""
    model = LocalModel(name="tiny", kind="gguf", path="/tiny.gguf", origin="embedded", size_bytes=1)
    monkeypatch.setattr(_stores, "local_models", lambda host: [model] if weights else [])
    return Host(env={"PATH": str(folder), "HOME": str(folder)}, ports=False)


@pytest.mark.parametrize(
    ("found", "own", "weights", "state", "says"),
    [
        ({}, False, True, "missing", "target environment has no xllamacpp: run `envcheck install llama-cpp`"),
        ("the target interpreter could not be asked", False, True, "missing", "and the target interpreter could not"),
        ({"xllamacpp": "2026.10"}, False, True, "startable", "xllamacpp 2026.10 is in the target environment and tiny"),
        ({"xllamacpp": "2026.10"}, False, False, "missing", "but no GGUF model was found: name one with --model"),
        ({"xllamacpp": "2026.10"}, True, True, "missing", "but no GGUF model was found: name one with --model"),
    ],
)
def test_without_the_program_its_package_is_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    found: dict[str, str] | str,
    own: bool,
    weights: bool,
    state: str,
    says: str,
) -> None:
    packaged(monkeypatch, found, own=own)
    (candidate,) = BACKEND.discover(bare(tmp_path, monkeypatch, weights=weights))
    assert candidate.state == state
    assert says in candidate.why


def test_a_link_to_an_interpreter_is_an_environment_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    assert _target.is_own(sys.executable)
    assert not _target.is_own(str(tmp_path / "python"))
