"""Fetching from a hub that a test serves, with the real client package where it is installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from envcheck.backends import _hub
from envcheck.host import Host
from envcheck.schema.errors import EnvcheckError, InputError

FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "model.safetensors": bytes(range(256)) * 4096,
    "pytorch_model.bin": b"\x80\x04never fetched",
    "q4.gguf": b"GGUF" + bytes(1000),
}
COMMIT = "a" * 40
hub_package = pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed")


class Hub(BaseHTTPRequestHandler):
    """The few routes of the hub that a download needs."""

    digests: dict[str, str]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/api/models/org/tiny/tree/"):
            self._send(json.dumps([self._entry(name) for name in FILES]).encode(), "application/json")
        elif self.path.startswith("/api/models/org/tiny"):
            siblings = [self._sibling(name) for name in FILES]
            found = {
                "id": "org/tiny",
                "sha": COMMIT,
                "siblings": siblings,
                "private": False,
                "tags": [],
                "downloads": 0,
            }
            self._send(json.dumps(found).encode(), "application/json")
        else:
            self._file()

    do_HEAD = do_GET  # noqa: N815

    def _sibling(self, name: str) -> dict[str, object]:
        found: dict[str, object] = {"rfilename": name, "size": len(FILES[name]), "blobId": "b" * 40}
        if not name.endswith(".json"):
            found["lfs"] = {"sha256": self.digests[name], "size": len(FILES[name]), "pointerSize": 130}
        return found

    def _entry(self, name: str) -> dict[str, object]:
        found: dict[str, object] = {"type": "file", "path": name, "size": len(FILES[name]), "oid": "b" * 40}
        if not name.endswith(".json"):
            found["lfs"] = {"oid": self.digests[name], "size": len(FILES[name]), "pointerSize": 130}
        return found

    def _file(self) -> None:
        name = self.path.rpartition("/")[2].partition("?")[0]
        if name not in FILES:
            self.send_error(404)
            return
        self._send(FILES[name], "application/octet-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        return


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.digests = {name: hashlib.sha256(body).hexdigest() for name, body in FILES.items()}
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def pull(name: str, endpoint: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, because the package reads its settings when it is imported."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **env}
    root = str(Path(__file__).parents[2])
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "envcheck", "models", "pull", name, "--from", "hf"],
        env={**inherited, "PYTHONPATH": root, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@hub_package
def test_weights_and_texts_come_and_nothing_that_runs_code(hub: str, tmp_path: Path) -> None:
    done = pull("org/tiny", hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"connecting to {hub}" in done.stderr
    folder = next(tmp_path.glob(f"hub/models--org--tiny/snapshots/{COMMIT}"))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert not any("pytorch_model" in path for path in Hub.asked)


@hub_package
def test_one_file_by_name(hub: str, tmp_path: Path) -> None:
    done = pull("org/tiny/q4.gguf", hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.glob("hub/*/snapshots/*/*")] == ["q4.gguf"]


@hub_package
def test_a_digest_that_is_not_the_hubs(hub: str, tmp_path: Path) -> None:
    Hub.digests["model.safetensors"] = "0" * 64
    done = pull("org/tiny", hub, tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)
    assert "sha256 of model.safetensors" in done.stderr


@hub_package
def test_offline_is_honoured(tmp_path: Path) -> None:
    done = pull("org/tiny", "http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert (done.returncode, "HF_HUB_OFFLINE forbids" in done.stderr) == (2, True)


@hub_package
def test_a_hub_that_does_not_answer(tmp_path: Path) -> None:
    done = pull("org/tiny", "http://127.0.0.1:9", tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)
    assert "did not give org/tiny" in done.stderr


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"llm-envcheck\[hub\]"):
        _hub.hugging_face(Host(), "org/tiny", lambda line: None)


def test_room_is_looked_at_first(tmp_path: Path) -> None:
    with pytest.raises(EnvcheckError, match="nothing is fetched"):
        _hub._hold_room(10**18, tmp_path, "org/huge")
    _hub._hold_room(1, tmp_path, "org/tiny")
