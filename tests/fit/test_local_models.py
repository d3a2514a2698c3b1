"""Finding models on disk: files, folders, the Hugging Face cache, Ollama's store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envcheck.fit.local_models import Stores, quantization_of_config, resolve
from envcheck.fit.models import find
from envcheck.schema.errors import InputError
from envcheck.schema.model import Ambiguous, NotInCatalog, ResolvedModel
from tests.fit.gguf_bytes import gguf, small_llama
from tests.fit.test_hf_config import LLAMA
from tests.fit.test_safetensors_header import row, safetensors

DIGEST = "sha256:" + "ab" * 32


def found(text: str, stores: Stores | None = None) -> ResolvedModel:
    answer = resolve(text, stores)
    assert isinstance(answer, ResolvedModel)
    return answer


def checkpoint(folder: Path, config: dict[str, Any], tensors: dict[str, Any] | None = None, room: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if tensors:
        (folder / "model.safetensors").write_bytes(safetensors(tensors, room))
    return folder


def test_a_gguf_file(tmp_path: Path) -> None:
    path = tmp_path / "small.Q4_0.gguf"
    path.write_bytes(gguf(*small_llama()))
    model = found(str(path))
    assert (model.origin, model.quantization, model.facts.layer_count, len(model.tensors)) == ("gguf", "Q4_0", 2, 21)
    assert sum(tensor.nbytes for tensor in model.tensors) < path.stat().st_size


def test_a_split_gguf_file(tmp_path: Path) -> None:
    metadata, tensors = small_llama()
    names = list(tensors)
    for number, part in enumerate((names[:10], names[10:]), start=1):
        data = gguf(metadata if number == 1 else {"split.no": 1}, {name: tensors[name] for name in part})
        (tmp_path / f"m-0000{number}-of-00002.gguf").write_bytes(data)
    assert len(found(str(tmp_path / "m-00001-of-00002.gguf")).tensors) == len(tensors)
    assert len(found(str(tmp_path)).tensors) == len(tensors)
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(InputError, match="00002-of-00002"):
        resolve(str(tmp_path / "m-00001-of-00002.gguf"))


def test_a_folder_with_several_gguf_files_is_ambiguous(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf", "mmproj-a.gguf"):
        (tmp_path / name).write_bytes(gguf(*small_llama()))
    answer = resolve(str(tmp_path))
    assert isinstance(answer, Ambiguous)
    assert len(answer.candidates) == 2


def test_a_folder_with_config_alone(tmp_path: Path) -> None:
    model = found(str(checkpoint(tmp_path / "My-Llama", LLAMA)))
    assert (model.origin, model.facts.name, model.tensors) == ("config", "My-Llama", ())


def test_a_folder_with_weights(tmp_path: Path) -> None:
    tensors = {"model.embed_tokens.weight": row("BF16", [1000, 64], 0, 128_000)}
    folder = checkpoint(tmp_path / "w", LLAMA, tensors, 128_000)
    model = found(str(folder))
    assert (model.origin, model.tensors[0].nbytes) == ("safetensors", 128_000)
    assert found(str(folder / "config.json")).facts == model.facts


def test_weights_that_contradict_the_configuration(tmp_path: Path) -> None:
    tensors = {"model.embed_tokens.weight": row("BF16", [1000, 32], 0, 64_000)}
    with pytest.raises(InputError, match="width of 64"):
        resolve(str(checkpoint(tmp_path, LLAMA, tensors, 64_000)))


def test_the_hugging_face_cache(tmp_path: Path) -> None:
    repository = tmp_path / "models--me--My-Llama"
    for revision in ("aaaa", "bbbb"):
        checkpoint(repository / "snapshots" / revision, {**LLAMA, "num_hidden_layers": 2 if revision == "aaaa" else 3})
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("bbbb")
    model = found("me/My-Llama", Stores(hf_cache=str(tmp_path)))
    assert (model.origin, model.facts.layer_count, model.facts.name) == ("hf_cache", 3, "me/My-Llama")
    assert found(str(repository)).facts.layer_count == 3
    assert isinstance(resolve("me/My-Llama"), NotInCatalog)
    (repository / "refs" / "main").write_text("../../../etc")
    assert isinstance(resolve("me/My-Llama", Stores(hf_cache=str(tmp_path))), NotInCatalog)


def ollama_store(root: Path, name: str, layers: Any, data: bytes | None = None) -> Stores:
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / name / "latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"layers": layers}))
    (root / "blobs").mkdir()
    if data is not None:
        (root / "blobs" / DIGEST.replace(":", "-")).write_bytes(data)
    return Stores(ollama=str(root))


MODEL_LAYER = {"mediaType": "application/vnd.ollama.image.model", "digest": DIGEST}


def test_the_ollama_store(tmp_path: Path) -> None:
    stores = ollama_store(tmp_path, "mymodel", [{"mediaType": "x"}, MODEL_LAYER], gguf(*small_llama()))
    for tag in ("mymodel", "mymodel:latest", "ollama/mymodel"):
        model = found(tag, stores)
        assert (model.origin, model.facts.layer_count, model.quantization) == ("ollama", 2, "Q4_0")
    assert isinstance(resolve("mymodel:other", stores), NotInCatalog)
    assert isinstance(resolve("library/../mymodel", stores), NotInCatalog)


@pytest.mark.parametrize(
    "layers", [None, "x", [], [{"mediaType": MODEL_LAYER["mediaType"], "digest": "sha256:../../x"}], [MODEL_LAYER], [3]]
)
def test_a_broken_ollama_store_gives_one_sentence(tmp_path: Path, layers: Any) -> None:
    with pytest.raises(InputError):
        resolve("mymodel", ollama_store(tmp_path, "mymodel", layers))


@pytest.mark.parametrize("text", ["/nowhere/model", "./nowhere", "../x", "~/nowhere-at-all", "C:\\models\\x", "x.gguf"])
def test_paths_that_do_not_exist(text: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        resolve(text)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither a config\.json"):
        resolve(str(tmp_path))


def test_names_go_to_the_catalog() -> None:
    assert resolve("Qwen2.5-7B-Instruct") == find("Qwen2.5-7B-Instruct")
    assert isinstance(resolve("no-such-model"), NotInCatalog)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"quant_method": "awq", "bits": 4}, "awq"),
        ({"quant_method": "gptq", "bits": 8}, "gptq-int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bnb-4bit"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, "fp8"),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "pack-quantized",
                "config_groups": {"group_0": {"weights": {"group_size": 128}}},
            },
            "w4a16",
        ),
        ("odd", None),
        (None, None),
    ],
)
def test_quantization_of_a_configuration(section: Any, expected: str | None) -> None:
    assert quantization_of_config({"quantization_config": section}) == expected
