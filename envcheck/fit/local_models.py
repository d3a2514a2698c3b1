"""Models on disk: a GGUF file, a directory with `config.json`, the Hugging Face cache, Ollama's store.

Only files of the model that the caller names are read, and of those only headers and configurations. `resolve` is the
one entry point for everything a user may write where a model is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from envcheck.fit.gguf_facts import FILE_TYPE_NAMES, facts_from_gguf
from envcheck.fit.gguf_header import GgufHeader, read_header
from envcheck.fit.hf_config import facts_from_config
from envcheck.fit.model_names import quantization_in
from envcheck.fit.models import find
from envcheck.fit.safetensors_header import read_checkpoint, read_json
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record
from envcheck.schema.model import Ambiguous, ModelFacts, NotInCatalog, ResolvedModel, StoredTensor

_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_PATH_START = re.compile(r"(?:[/~\\]|\.{1,2}[/\\]|[A-Za-z]:[/\\])")
_SAFE_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BLOB = re.compile(r"sha256[:-][0-9a-f]{64}")

Answer = ResolvedModel | Ambiguous | NotInCatalog


class Stores(Record):
    """Where downloaded models may lie; None: not looked at."""

    hf_cache: str | None = None
    """The folder that holds `models--<owner>--<name>` (`$HF_HOME/hub`)."""
    ollama: str | None = None
    """The folder that holds `manifests` and `blobs` (`$OLLAMA_MODELS`)."""


def resolve(text: str, stores: Stores | None = None) -> Answer:
    """What a user means by `text`: a GGUF file, a directory, an Ollama tag, a repository, a catalog name or a size.

    A local copy of the very model wins over the catalog, because its headers are exact. Raises InputError when `text`
    is a path that does not exist or holds no readable model.
    """
    asked = text.strip()
    path = Path(asked).expanduser()
    if path.is_file():
        return _from_file(asked, path)
    if path.is_dir() and (_PATH_START.match(asked) or _holds_a_model(path)):
        return _from_folder(asked, path)
    if _PATH_START.match(asked) or asked.lower().endswith((".gguf", ".safetensors", ".json")):
        raise InputError(f"{asked}: there is no such file or directory")
    for look in (_in_ollama, _in_hf_cache):
        found = look(asked, stores or Stores())
        if found is not None:
            return found
    return find(asked)


def _holds_a_model(path: Path) -> bool:
    return (path / "config.json").is_file() or any(path.glob("*.gguf"))


def _from_file(asked: str, path: Path) -> Answer:
    if path.name == "config.json":
        return _from_folder(asked, path.parent)
    if path.suffix == ".safetensors":
        return _from_folder(asked, path.parent)
    return from_gguf(path, asked)


def from_gguf(path: Path, asked: str | None = None, name: str | None = None) -> ResolvedModel:
    """The model in a GGUF file (or in all parts of a split one), with its own tensor table."""
    header = read_header(path)
    tensors = list(header.tensors)
    for part in _other_parts(path):
        tensors += read_header(part).tensors
    whole = msgspec.structs.replace(header, tensors=tuple(tensors))
    facts = facts_from_gguf(whole, path)
    if name:
        facts = msgspec.structs.replace(facts, name=name)
    number = header.metadata.get("general.file_type")
    label = FILE_TYPE_NAMES.get(number) if isinstance(number, int) else None
    return ResolvedModel(
        asked=asked or str(path), facts=facts, quantization=label or quantization_in(path.name), tensors=whole.tensors,
        assumptions=_gguf_remarks(header), origin="gguf",
    )  # fmt: skip


def _gguf_remarks(header: GgufHeader) -> tuple[str, ...]:
    if str(header.metadata.get("general.type", "model")) not in ("model", "None"):
        return (f"the file says it is a {header.metadata['general.type']}, not a whole model",)
    return ()


def _other_parts(path: Path) -> list[Path]:
    match = _SPLIT.search(path.name)
    if match is None:
        return []
    number, total = int(match[1]), int(match[2])
    if not 1 <= number <= total <= 4096:
        raise InputError(f"{path}: part {number} of {total} makes no sense")
    stem = path.name[: match.start()]
    parts = [path.with_name(f"{stem}-{i:05d}-of-{total:05d}.gguf") for i in range(1, total + 1) if i != number]
    for part in parts:
        if not part.is_file():
            raise InputError(f"{part} is missing; the file {path.name} is one of {total} parts")
    return parts


def _from_folder(asked: str, path: Path) -> Answer:
    if (path / "config.json").is_file():
        return from_folder(path, asked)
    snapshot = _snapshot(path)
    if snapshot is not None:
        return _from_folder(asked, snapshot)
    files = [file for file in sorted(path.glob("*.gguf")) if "mmproj" not in file.name.lower()]
    first = [file for file in files if not _SPLIT.search(file.name) or "-00001-of-" in file.name]
    if len(first) == 1:
        return from_gguf(first[0], asked)
    if first:
        return Ambiguous(asked=asked, candidates=tuple(str(file) for file in first))
    raise InputError(f"{path} holds neither a config.json nor a GGUF file")


def from_folder(path: Path, asked: str | None = None) -> ResolvedModel:
    """The model whose `config.json` lies in a directory, with the tensors of its safetensors headers if there are
    any."""
    config = read_json(path / "config.json")
    if not isinstance(config, Mapping):
        raise InputError(f"{path / 'config.json'} is not a JSON object")
    name = _folder_name(path)
    facts = facts_from_config(config, name, str(path / "config.json"))
    tensors = read_checkpoint(path)
    _agree(facts, tensors, path)
    remarks = () if facts.vision or "vision_config" not in config else ("the image encoder's weights are not counted",)
    return ResolvedModel(
        asked=asked or str(path), facts=msgspec.structs.replace(facts, basis="file"), assumptions=() if tensors else
        remarks, quantization=quantization_of_config(config) or quantization_in(name), tensors=tensors,
        origin="safetensors" if tensors else "config",
    )  # fmt: skip


def _folder_name(path: Path) -> str:
    cached = re.search(r"models--(.+?)--([^/\\]+)", str(path))
    return f"{cached[1]}/{cached[2]}" if cached else path.resolve().name


def _agree(facts: ModelFacts, tensors: tuple[StoredTensor, ...], path: Path) -> None:
    for tensor in tensors:
        if (
            tensor.name.endswith(("model.embed_tokens.weight", "wte.weight", "embed_in.weight"))
            and len(tensor.shape) == 2
        ):
            width = facts.embedding_width or facts.hidden
            if tensor.dtype in ("BF16", "F16", "F32") and tensor.shape[1] != width:
                raise InputError(f"{path}: config.json says a width of {width}, {tensor.name} has {tensor.shape[1]}")


def quantization_of_config(config: Mapping[str, Any]) -> str | None:
    """The weight format that `quantization_config` of a `config.json` states, in the catalog's spelling."""
    section = config.get("quantization_config") or (config.get("text_config") or {}).get("quantization_config")
    if not isinstance(section, Mapping):
        return None
    method, bits = str(section.get("quant_method", "")).lower(), section.get("bits")
    if method == "gptq":
        return "gptq-int8" if bits == 8 else "gptq-int4"
    if method == "bitsandbytes":
        return "bnb-4bit" if section.get("load_in_4bit") or section.get("_load_in_4bit") else "bnb-int8"
    if method == "fp8":
        return "fp8-block" if section.get("weight_block_size") else "fp8"
    if method == "compressed-tensors":
        return _compressed(section)
    if method == "modelopt":
        return {"NVFP4": "nvfp4", "FP8": "fp8"}.get(str(section.get("quant_algo")))
    return method if method in ("awq", "mxfp4") else None


def _compressed(section: Mapping[str, Any]) -> str | None:
    form = str(section.get("format", ""))
    if form.startswith("pack-quantized"):
        groups = section.get("config_groups")
        first: Any = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
        size = (first.get("weights") or {}).get("group_size") if isinstance(first, Mapping) else None
        return "int4" if size == 32 else "w4a16"
    return {"float-quantized": "fp8", "int-quantized": "int8", "nvfp4-pack-quantized": "nvfp4"}.get(form)


def _snapshot(repository: Path) -> Path | None:
    """The checked-out revision of a Hugging Face cache folder: the one `refs/main` names, else the only one."""
    if not (repository / "snapshots").is_dir():
        return None
    try:
        main = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        main = ""
    if _SAFE_TAG.fullmatch(main) and (repository / "snapshots" / main).is_dir():
        return repository / "snapshots" / main
    revisions = sorted(path for path in (repository / "snapshots").iterdir() if path.is_dir())
    return revisions[0] if len(revisions) == 1 else None


def _in_hf_cache(asked: str, stores: Stores) -> Answer | None:
    owner, _, name = asked.partition("/")
    if stores.hf_cache is None or not (_SAFE_TAG.fullmatch(owner) and _SAFE_TAG.fullmatch(name)):
        return None
    snapshot = _snapshot(Path(stores.hf_cache) / f"models--{owner}--{name}")
    if snapshot is None or not _holds_a_model(snapshot):
        return None
    found = _from_folder(asked, snapshot)
    return msgspec.structs.replace(found, origin="hf_cache") if isinstance(found, ResolvedModel) else found


def _in_ollama(asked: str, stores: Stores) -> Answer | None:
    if stores.ollama is None:
        return None
    root = Path(stores.ollama)
    manifest = _manifest(root, asked)
    if manifest is None:
        return None
    layers = (read_json(manifest) or {}).get("layers")
    for layer in layers if isinstance(layers, list) else []:
        digest = str(layer.get("digest", "")) if isinstance(layer, Mapping) else ""
        if isinstance(layer, Mapping) and layer.get("mediaType") == "application/vnd.ollama.image.model":
            if not _BLOB.fullmatch(digest):
                raise InputError(f"{manifest}: the model layer's digest {digest[:80]!r} is not one")
            found = from_gguf(root / "blobs" / digest.replace(":", "-"), asked, name=asked)
            return msgspec.structs.replace(found, origin="ollama")
    raise InputError(f"{manifest} names no model layer; pull {asked} again")


def _manifest(root: Path, asked: str) -> Path | None:
    """The manifest of a tag: `library/<name>` of Ollama's registry, `<owner>/<name>`, or another host's."""
    name, _, tag = asked.removeprefix("ollama/").partition(":")
    pieces = [*name.split("/"), tag or "latest"]
    if len(pieces) > 5 or not all(_SAFE_TAG.fullmatch(piece) for piece in pieces):
        return None
    before = {2: ["registry.ollama.ai", "library"], 3: ["registry.ollama.ai"]}.get(len(pieces), [])
    path = root.joinpath("manifests", *before, *pieces)
    return path if path.is_file() else None
