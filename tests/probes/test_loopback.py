"""Services and servers on loopback, played by threads that speak their protocols; real sockets, no outside network."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from envcheck.host import Host
from envcheck.loopback import ask, http_body, http_get
from envcheck.probes import backends, containers, services
from envcheck.schema.facts import Known, Unknown, value_of

JSON = "HTTP/1.1 {status}\r\nServer: {server}\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n{body}"


def answer(body: str, status: str = "200 OK", server: str = "uvicorn") -> bytes:
    return JSON.format(status=status, server=server, size=len(body), body=body).encode()


@contextlib.contextmanager
def serve(answers: dict[str, bytes], listener: socket.socket, delay_s: float = 0.0) -> Iterator[None]:
    """Answer each connection by the first key that its question contains."""
    listener.listen()

    over = threading.Event()

    def loop() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(1.0)
                question = connection.recv(4096).decode("latin-1")
                over.wait(delay_s)
                connection.sendall(next((a for key, a in answers.items() if key in question), b"") if question else b"")

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@contextlib.contextmanager
def on_port(answers: dict[str, bytes], delay_s: float = 0.0) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    with serve(answers, listener, delay_s):
        yield int(listener.getsockname()[1])


def test_silence_and_absence_are_different() -> None:
    with on_port({}, delay_s=60.0) as silent:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            closed = int(unused.getsockname()[1])
        started = time.monotonic()
        said = ask([("127.0.0.1", silent), ("127.0.0.1", closed)], [http_get("/"), http_get("/")], 0.3)
        assert time.monotonic() - started < 30
        assert said == [(True, b""), (False, b"")]


def test_chunked_answers_are_joined() -> None:
    body = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n'
    assert http_body(body)[1] == b'{"a": 1}'


def test_ports_are_left_alone_when_off() -> None:
    for machine in (Host(env={}, ports=False), Host(env={}, level=0)):
        assert machine.ask_loopback([(1, b"")]) == [(False, b"")]
        assert isinstance(services.parse(services.collect(machine)), Unknown)


def test_services_by_their_own_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    redis = {"INFO": b"$30\r\n# Server\r\nredis_version:7.2.4\r\nrun_id:SECRET\r\n"}
    postgres = {"\x04": b"N"}
    other = {"GET": answer('{"title": "qdrant - vector search engine", "version": "1.15.4"}')}
    impostor = {"GET": answer('{"hello": "world"}')}
    with on_port(redis) as r, on_port(postgres) as p, on_port(other) as q, on_port(impostor) as g:
        rows = (("redis", r, "", ""), ("postgresql", p, "", ""), ("qdrant", q, "/", "version"))
        monkeypatch.setattr(services, "_SERVICES", (*rows, ("grafana", g, "/api/health", "version")))
        evidence = services.collect(Host(env={}))
    assert "SECRET" not in str(evidence)
    found = {service.name: value_of(service.version) for service in value_of(services.parse(evidence)) or ()}
    assert found == {"redis": "7.2.4", "postgresql": None, "qdrant": "1.15.4"}


def test_a_server_is_recognised_by_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    ollama = {
        "/api/version": answer('{"version": "0.12.3"}'),
        "/api/tags": answer('{"models": [{"name": "qwen2.5:7b", "digest": "SECRET"}]}'),
    }
    llama = {
        "/v1/models": answer('{"data": [{"id": "/home/jdoe/m.gguf", "owned_by": "llamacpp"}]}', server="llama.cpp")
    }
    with on_port(ollama) as o, on_port(llama) as c:
        servers = (("ollama", o, "/api/version"), ("ollama", o, "/api/tags"), ("llama_cpp", c, "/v1/models"))
        monkeypatch.setattr(backends, "_SERVERS", (*servers, ("vllm", c, "/v1/models")))
        evidence = backends.collect(Host(env={"PATH": ""}))
    assert "SECRET" not in str(evidence)
    assert "jdoe" not in str(evidence)
    found = {presence.name: presence for presence in value_of(backends.parse(evidence)) or ()}
    assert found["ollama"].server == Known(value="0.12.3", source="loopback")
    assert value_of(found["ollama"].models) == ("qwen2.5:7b",)
    assert value_of(found["llama_cpp"].models) == ("m.gguf",)
    assert value_of(found["vllm"].server) is None


def test_programs_say_their_version(tmp_path: Path) -> None:
    for name, printed in (
        ("ollama", "Warning: could not connect\\nclient version is 0.12.3"),
        ("sinfo", "slurm 22.05.8"),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nprintf '{printed}\\n' >&2\n")
        program.chmod(0o755)
    evidence = backends.collect(Host(env={"PATH": str(tmp_path)}, ports=False))
    found = {presence.name: value_of(presence.binary) for presence in value_of(backends.parse(evidence)) or ()}
    assert found["ollama"] == "0.12.3"
    assert found["slurm"] == "22.05.8"
    assert found["vllm"] is None


def test_the_engine_is_asked_through_its_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "docker.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    details = '{"ID": "SECRET", "Name": "SECRET", "Runtimes": {"runc": {}, "nvidia": {}}, "DefaultRuntime": "runc", '
    details += (
        '"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}, {"ID": "nvidia.com/gpu=GPU-SECRET"}]}'
    )
    answers = {"/version": answer('{"Version": "27.5.1", "ApiVersion": "1.47"}'), "/info": answer(details)}
    with serve(answers, listener):
        evidence = containers.collect(Host(env={"PATH": "", "DOCKER_HOST": f"unix://{path}"}))
    assert "SECRET" not in str(evidence)
    reading = containers.parse(evidence)
    assert value_of(reading.docker_engine) == "27.5.1"
    assert value_of(reading.runtimes) == ("nvidia", "runc")
    assert value_of(reading.cdi_devices) == ("nvidia.com/gpu=0",)


ENGINE = {
    "/version": answer('{"Version": "27.5.1", "ApiVersion": "1.47"}'),
    "/info": answer(
        '{"Name": "SECRET", "Runtimes": {"nvidia": {}}, "DiscoveredDevices": [{"ID": "nvidia.com/gpu=0"}]}'
    ),
}


def asked_engine(tmp_path: Path, answers: dict[str, bytes], delay_s: float = 0.0) -> dict[str, object]:
    path = str(tmp_path / "docker.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    with serve(answers, listener, delay_s):
        evidence = containers.collect(Host(env={"PATH": "", "DOCKER_HOST": f"unix://{path}"}))
    assert "SECRET" not in str(evidence)
    return dict(evidence["engine"])


def never(host: Host, path: str) -> tuple[dict[str, object], dict[str, object]]:
    raise AssertionError("asked without the SDK")


def test_the_engine_is_asked_by_the_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "_asked_by_socket", never)
    found = asked_engine(tmp_path, ENGINE)
    assert (found["version"], found["runtimes"], found["devices"]) == ("27.5.1", ["nvidia"], ["nvidia.com/gpu=0"])


def test_without_the_sdk_the_socket_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "find_spec", lambda name: None)
    assert asked_engine(tmp_path, ENGINE)["version"] == "27.5.1"


def test_an_engine_that_hangs_is_not_waited_for_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "_ENGINE_LIMIT_S", 0.5)
    monkeypatch.setattr(containers, "_asked_by_socket", never)
    assert asked_engine(tmp_path, ENGINE, delay_s=3.0) == {}


def test_an_engine_that_answers_nonsense(tmp_path: Path) -> None:
    assert asked_engine(tmp_path, {"/version": answer("[1]"), "/info": answer("{")}) == {}
