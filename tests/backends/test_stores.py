"""Models found in the folders of the programs that keep them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envcheck.backends._stores import also_named, local_models
from envcheck.host import Host
from envcheck.schema.errors import InputError

HUB = "home/u/.cache/huggingface/hub"


def machine(root: Path, files: dict[str, bytes], env: dict[str, str] | None = None) -> Host:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Host(root=root, env={"HOME": "/home/u", **(env or {})})


def found(host: Host) -> list[tuple[str, str, str, int, int]]:
    return [(m.name, m.kind, m.origin, m.size_bytes, m.files) for m in local_models(host)]


MANIFEST = json.dumps(
    {
        "layers": [
            {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:t", "size": 9},
            {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:abc", "size": 77},
        ]
    }
).encode()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, []),
        (
            {
                f"{HUB}/models--org--m-7B/snapshots/r1/config.json": b"{}",
                f"{HUB}/models--org--m-7B/snapshots/r1/a.safetensors": b"12",
            },
            [("org/m-7B", "safetensors", "hugging face cache", 2, 1)],
        ),
        ({f"{HUB}/models--org--m/snapshots/r1/config.json": b"{}"}, []),
        (
            {f"{HUB}/models--o--m/snapshots/r1/m-Q4_K_M.gguf": b"1234"},
            [("o/m/m-Q4_K_M.gguf", "gguf", "hugging face cache", 4, 1)],
        ),
        (
            {"home/u/.ollama/models/manifests/registry.ollama.ai/library/qwen2.5/7b": MANIFEST},
            [("qwen2.5:7b", "ollama", "ollama", 77, 1)],
        ),
        ({"home/u/.ollama/models/manifests/registry.ollama.ai/library/bad/x": b"{"}, []),
        ({"home/u/.ollama/models/manifests/registry.ollama.ai/library/bad/x": b'{"layers": 7}'}, []),
        (
            {"home/u/.ollama/models/manifests/hub.example/someone/m/1": MANIFEST},
            [("someone/m:1", "ollama", "ollama", 77, 1)],
        ),
        ({"home/u/.lmstudio/models/pub/m/m.gguf": b"1"}, [("m", "gguf", "lm studio", 1, 1)]),
        ({"home/u/.lmstudio/models/pub/m/mmproj-m.gguf": b"1"}, []),
        (
            {
                "home/u/.cache/llama.cpp/b-00001-of-00002.gguf": b"111",
                "home/u/.cache/llama.cpp/b-00002-of-00002.gguf": b"22",
            },
            [("b-00001-of-00002", "gguf", "llama.cpp cache", 5, 2)],
        ),
    ],
)
def test_a_store(tmp_path: Path, files: dict[str, bytes], expected: list[tuple[str, str, str, int, int]]) -> None:
    assert found(machine(tmp_path, files)) == expected


def test_named_folders_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"models/a/config.json": b"{}", "models/a/w.safetensors": b"12345", "models/b.gguf": b"1"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "envcheck.toml").write_text('[models]\nfolders = ["/models"]\n')
    assert found(machine(tmp_path, files)) == [("b", "gguf", "named", 1, 1), ("a", "safetensors", "named", 5, 1)]


@pytest.mark.parametrize("text", ["[models", '[models]\nfolders = "x"', "[models]\nfolders = [1]", "models = 7"])
def test_settings_that_mean_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "envcheck.toml").write_text(text)
    with pytest.raises(InputError, match=r"envcheck\.toml"):
        local_models(machine(tmp_path, {}))


@pytest.mark.parametrize("path", ["/away/m-Q4_K_M.gguf", "/away"])
def test_a_model_at_a_path_joins_those_that_are_found(tmp_path: Path, path: str) -> None:
    files = {"away/m-Q4_K_M.gguf": b"1234", "home/u/.cache/llama.cpp/own.gguf": b"1"}
    host = machine(tmp_path, files)
    own = ("own", "gguf", "llama.cpp cache", 1, 1)
    assert found(also_named(host, path)) == [own, ("m-Q4_K_M", "gguf", "named", 4, 1)]
    assert found(host) == [own]


def test_a_model_that_a_store_has_keeps_the_name_it_has_there(tmp_path: Path) -> None:
    folder = f"{HUB}/models--org--m-7B/snapshots/r1"
    host = machine(tmp_path, {f"{folder}/config.json": b"{}", f"{folder}/a.safetensors": b"12"})
    assert found(also_named(host, f"/{folder}")) == [("org/m-7B", "safetensors", "hugging face cache", 2, 1)]
