"""Programs of the toolchain that hang: each costs its own limit, and what the others said arrives."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from envcheck import discover
from envcheck.host import Host
from envcheck.look import collect, parse
from envcheck.schema.facts import Known, Unknown, value_of


def program(folder: Path, name: str, script: str) -> None:
    place = folder / name
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("gcc", "g++", "cmake", "ollama", "llama-server"):
        program(folder, name, "exec sleep 60")
    program(folder, "ninja", "echo 1.12.1")
    program(folder, "sinfo", "echo slurm 24.11.5")
    return folder


def host(programs: Path) -> Host:
    env = {"PATH": f"{programs}:/usr/bin:/bin", "CC": str(programs / "gcc"), "CXX": str(programs / "g++")}
    return Host(env=env, limit_s=6.0, ports=False)


def test_slow_programs_take_no_other_reading_along(programs: Path) -> None:
    started = time.monotonic()
    file, _ = collect(host(programs))
    assert time.monotonic() - started < 30
    snapshot = parse(file)
    toolchain = snapshot.toolchain
    assert isinstance(toolchain.gcc, Unknown)
    assert "within the limit" in toolchain.gcc.why
    assert toolchain.ninja == Known(value="1.12.1", source="--version")
    assert isinstance(toolchain.libraries, Known)
    assert {"gcc", "gxx", "cmake", "libraries"} <= set(file.evidence["toolchain"])
    found = {b.name: value_of(b.binary) for b in value_of(snapshot.backends) or ()}
    assert (found["ollama"], found["llama_cpp"], found["slurm"]) == ("present", "present", "24.11.5")


def test_a_question_that_fails_is_left_out() -> None:
    from envcheck.probes._together import together

    def broken() -> str:
        raise RuntimeError

    assert together({"one": lambda: "1", "broken": broken, "two": lambda: "2"}) == {"one": "1", "two": "2"}


def test_every_toolkit_is_named() -> None:
    probe = discover.load("envcheck.probes", "toolchain", "PROBE")
    cuda = {"found": True, "from": "PATH", "version": "13.0.48", "by": "run", "others": ["12.4", "13.0"]}
    assert value_of(probe.parse({"cuda": cuda}).toolkits) == ("12.4", "13.0")
    assert value_of(probe.parse({"cuda": {**cuda, "others": ["12.4"]}}).toolkits) == ("12.4", "13.0.48")
    assert isinstance(probe.parse({}).toolkits, Unknown)
