"""Sizes of wheels: stated, looked up, asked for, or honestly unknown."""

from __future__ import annotations

import http.server
import platform
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envcheck.install.sizes import sizes_of, wheel_for


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


class Heads(http.server.BaseHTTPRequestHandler):
    """Says how large a file is: as many bytes as its name is long; nothing about files called `secret`."""

    asked: int

    def do_HEAD(self) -> None:
        type(self).asked += 1
        self.send_response(401 if "secret" in self.path else 200)
        self.send_header("Content-Length", str(len(self.path.rsplit("/", 1)[-1])))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Heads.asked = 0
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heads)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


def row(name: str, *files: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1", "wheels": list(files)}


def test_stated_found_and_asked(here: None, server: str, tmp_path: Path) -> None:
    (tmp_path / "b-1-py3-none-any.whl").write_bytes(b"12345")
    rows = [
        row("a", {"url": "https://nowhere.invalid/a-1-py3-none-any.whl", "size": 7}),
        row("b", {"path": "b-1-py3-none-any.whl"}),
        row("c", {"url": (tmp_path / "b-1-py3-none-any.whl").as_uri()}),
        row("d", {"url": f"{server}/d-1-py3-none-any.whl"}),
        row("e"),
    ]
    assert sizes_of(rows, "3.12", tmp_path) == {"a": 7, "b": 5, "c": 5, "d": 20}


def test_a_server_that_does_not_say_is_asked_once(here: None, server: str, tmp_path: Path) -> None:
    rows = [row(f"p{n}", {"url": f"{server}/secret/p{n}-1-py3-none-any.whl"}) for n in range(5)]
    assert sizes_of(rows, "3.12", tmp_path) == {}
    assert Heads.asked == 1


def test_nobody_is_asked_for_what_is_stated(here: None, server: str, tmp_path: Path) -> None:
    assert sizes_of([row("a", {"url": f"{server}/a-1-py3-none-any.whl", "size": 3})], "3.12", tmp_path) == {"a": 3}
    secret = row("b", {"url": f"{server}/secret/b-1-py3-none-any.whl"})
    assert sizes_of([secret], "3.12", tmp_path, {("b", "1"): 9, ("b", "2"): 8}) == {"b": 9}
    assert Heads.asked == 0


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        ("3.12", "n-1-cp312-cp312-manylinux_2_28_x86_64.whl"),
        ("3.13", "n-1-cp39-abi3-manylinux_2_28_x86_64.whl"),
    ],
)
def test_the_wheel_of_this_machine(here: None, python: str, expected: str) -> None:
    names = [
        "n-1-cp312-cp312-win_amd64.whl",
        "n-1-cp312-cp312-macosx_11_0_arm64.whl",
        "n-1-cp312-cp312-manylinux_2_28_aarch64.whl",
        "n-1-cp39-abi3-manylinux_2_28_x86_64.whl",
        "n-1-cp312-cp312-manylinux_2_28_x86_64.whl",
    ]
    chosen = wheel_for([{"url": f"https://files.invalid/{name}"} for name in names], python)
    assert chosen == {"url": f"https://files.invalid/{expected}"}
    assert wheel_for([], python) is None
