"""`envcheck models` on folders that a test made."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from envcheck.cli.models import COMMAND


def safetensors(path: Path, cut: int = 0) -> None:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    whole = len(header).to_bytes(8, "little") + header + bytes(8)
    path.write_bytes(whole[: len(whole) - cut])


def folder(root: Path, name: str, cut: int = 0) -> Path:
    made = root / name
    made.mkdir(parents=True)
    (made / "config.json").write_text("{}")
    safetensors(made / "model.safetensors", cut)
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENVCHECK_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("envcheck.backends.embedded.weights", lambda: None)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(COMMAND, list(arguments), standalone_mode=False)


def test_list(home: Path) -> None:
    assert "No models were found" in call("list").output
    folder(home / "models", "tiny")
    assert "safetensors tiny  (named)" in call("list").output
    document = json.loads(call("list", "--format", "json").output)
    assert [model["name"] for model in document["models"]] == ["tiny"]


def test_verify_finds_a_truncated_file(home: Path) -> None:
    folder(home / "models", "good")
    assert call("verify").return_value == 0
    folder(home / "models", "cut", cut=3)
    said = call("verify")
    assert said.return_value == 1
    assert "BROKEN  cut:" in said.output
    assert "whole   good" in said.output


def test_verify_compares_with_the_digest_of_the_store(home: Path) -> None:
    hub = home / "home/.cache/huggingface/hub/models--o--m"
    snapshot = hub / "snapshots/r1"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (hub / "blobs").mkdir()
    content = hub / "content"
    safetensors(content)
    blob = hub / "blobs" / hashlib.sha256(content.read_bytes()).hexdigest()
    content.rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    assert call("verify", "o/m").return_value == 0
    blob.write_bytes(blob.read_bytes()[:-1] + b"\1")
    said = call("verify", "o/m")
    assert said.return_value == 1
    assert "sha256" in said.output


@pytest.mark.parametrize(
    "text", ["", "# mine\n[policy]\nx = 1\n", "[models]\n", '[models]\nfolders = ["/a"]\n', "[models]\nfolders = []"]
)
def test_register_keeps_what_is_there(home: Path, text: str) -> None:
    made = folder(home / "elsewhere", "m").parent
    settings = home / "envcheck.toml"
    before = tomllib.loads(text)
    settings.write_text(text)
    assert call("register", str(made)).return_value == 0
    after = tomllib.loads(settings.read_text())
    assert str(made) in after["models"]["folders"]
    assert set(before.get("models", {}).get("folders", [])) <= set(after["models"]["folders"])
    assert {k: v for k, v in before.items() if k != "models"} == {k: v for k, v in after.items() if k != "models"}
    assert "already" in call("register", str(made)).output
    assert "m  (named)" in call("list").output


def test_a_name_that_fits_nothing_says_what_there_is(home: Path) -> None:
    folder(home / "models", "tiny")
    said = call("show", "huge")
    assert said.exception is not None
    assert "choose one of tiny" in str(said.exception)
