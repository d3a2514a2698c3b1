"""The one module that touches the machine: limits are kept, captured trees stay apart, nothing blocks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from envcheck.host import Host


@pytest.fixture
def real() -> Host:
    return Host(env={"PATH": os.defpath}, limit_s=5.0)


def test_a_program_runs_to_its_end(real: Host) -> None:
    done = real.run([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"])
    assert (done.code, done.out, done.err, done.failure) == (3, "out\n", "err\n", "")
    assert not done.ok


def test_a_missing_program_is_said(real: Host) -> None:
    assert real.run(["no-such-program-anywhere"]).failure == "missing"


def test_what_was_printed_before_the_limit_is_kept(real: Host) -> None:
    code = "import time; print('before', flush=True); time.sleep(60)"
    started = time.monotonic()
    done = real.run([sys.executable, "-c", code], timeout=1.0)
    assert (done.failure, done.out) == ("timeout", "before\n")
    assert time.monotonic() - started < 20


def test_children_of_a_killed_program_are_killed_with_it(real: Host, tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(mark)!r}).write_text('x')"
    real.run(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"],
        timeout=0.7,
    )
    time.sleep(3.5)
    assert not mark.exists()


def test_an_interrupt_while_a_program_starts_leaves_it_not_running(real: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    begin = subprocess.Popen.__init__

    def interrupted(process: subprocess.Popen[bytes], *given: Any, **options: Any) -> None:
        begin(process, *given, **options)
        started.append(process)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(subprocess.Popen, "__init__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        real.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=60)
    started[0].communicate(timeout=10)
    assert started[0].returncode == -signal.SIGKILL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_captured_tree_answers_for_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text("ID=x\n")
    host = Host(root=tmp_path, env={})
    assert host.read("/etc/os-release") == "ID=x\n"
    assert host.names("/etc") == ["os-release"]
    assert host.read("/proc/version") is None
    assert host.uname() == {}
    assert host.glibc() == ""
    assert host.affinity() is None
    assert host.space("/") is None
    assert host.may_open("/etc/os-release") is None


def test_reading_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert Host(env={}).read(tmp_path / "pipe") is None


def test_reads_are_bounded_and_start_where_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    host = Host(env={})
    assert host.read_bytes(tmp_path / "file", limit=4) == b"0123"
    assert host.read_bytes(tmp_path / "file", limit=4, start=8) == b"89"


def test_nothing_is_started_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert Host(env={"PATH": ":"}).which("tool") is None
    assert Host(env={"PATH": str(tmp_path)}).which("tool") == f"{tmp_path}/tool"
