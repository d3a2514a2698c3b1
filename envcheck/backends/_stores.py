"""Models that are already on this machine's disks: where each program keeps them, and what is there.

Only folders that are known to hold models are looked into, a few levels deep; nothing is opened but small JSON files.
"""

from __future__ import annotations

import copy
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from envcheck.backends import embedded
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

Kind = Literal["gguf", "safetensors", "ollama"]
DEPTH = 4
"""Folder levels below a model folder that are looked into; LM Studio uses publisher/model/file."""
SETTINGS = "envcheck.toml"
VARIABLE = "ENVCHECK_MODELS"


class LocalModel(Record, omit_defaults=False):
    """One model on disk."""

    name: str
    kind: Kind
    path: str
    """The GGUF file (of several parts the first), or the folder with config.json."""
    origin: str
    """Whose folder it lies in: "hugging face cache", "ollama", "lm studio", "llama.cpp cache", "embedded", "named"."""
    size_bytes: int
    files: int = 1
    digest: str = ""
    """sha256 where the store itself keeps one."""


def local_models(host: Host) -> list[LocalModel]:
    """Every model found, smallest first. Raises InputError for an envcheck.toml that cannot be read."""
    home = PurePosixPath(host.env.get("HOME") or host.env.get("USERPROFILE") or "/nonexistent")
    found = [
        *_embedded(host),
        *_hugging_face(host, home),
        *_ollama(host, home),
        *_ggufs(host, home / ".lmstudio/models", "lm studio"),
        *_ggufs(host, home / ".cache/lm-studio/models", "lm studio"),
        *_ggufs(host, PurePosixPath(host.env.get("LLAMA_CACHE") or home / ".cache/llama.cpp"), "llama.cpp cache"),
        *(model for folder in named_folders(host) for model in _named(host, PurePosixPath(folder))),
    ]
    first = {model.path: model for model in reversed(found)}
    return sorted(first.values(), key=lambda m: (m.size_bytes, m.name))


def named_folders(host: Host) -> list[str]:
    """Folders or GGUF files: `[models] folders = […]` of `envcheck.toml` in the working folder, and ENVCHECK_MODELS."""
    given = [part for part in host.env.get(VARIABLE, "").split(os.pathsep) if part]
    try:
        document = tomllib.loads(Path(SETTINGS).read_text("utf-8"))
    except FileNotFoundError:
        return given
    except (OSError, ValueError) as error:
        raise InputError(f"{SETTINGS} cannot be read: {error}.") from error
    table = document.get("models", {})
    folders = table.get("folders", []) if isinstance(table, dict) else None
    if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
        raise InputError(f"{SETTINGS}: `folders` under [models] must be a list of paths.")
    return given + [str(Path(folder).expanduser()) for folder in folders]


def _embedded(host: Host) -> Iterator[LocalModel]:
    path = embedded.weights() if host.is_real else None
    if path is not None:
        size = path.stat().st_size
        yield LocalModel(name=embedded.MODEL, kind="gguf", path=str(path), origin="embedded", size_bytes=size)


def _hugging_face(host: Host, home: PurePosixPath) -> Iterator[LocalModel]:
    """`models--org--name/snapshots/<revision>` (huggingface_hub, "Understand caching")."""
    base = host.env.get("HF_HOME") or home / ".cache/huggingface"
    hub = host.env.get("HF_HUB_CACHE") or host.env.get("HUGGINGFACE_HUB_CACHE") or PurePosixPath(base) / "hub"
    for config in host.glob(f"{hub}/models--*/snapshots/*/config.json"):
        folder = PurePosixPath(config).parent
        yield from _folder(host, folder, _hub_name(folder.parents[1].name), "hugging face cache")
    for path in host.glob(f"{hub}/models--*/snapshots/*/*.gguf"):
        repo = _hub_name(PurePosixPath(path).parents[2].name)
        yield from _gguf(host, path, "hugging face cache", f"{repo}/{PurePosixPath(path).name}")


def _hub_name(folder: str) -> str:
    return folder.removeprefix("models--").replace("--", "/", 1)


def _folder(host: Host, folder: PurePosixPath, name: str, origin: str) -> Iterator[LocalModel]:
    weights = host.glob(f"{folder}/*.safetensors")
    sizes = [size for path in weights if (size := _size(host, path)) is not None]
    if sizes and len(sizes) == len(weights):
        yield LocalModel(
            name=name, kind="safetensors", path=str(folder), origin=origin, size_bytes=sum(sizes), files=len(sizes)
        )


def _ollama(host: Host, home: PurePosixPath) -> Iterator[LocalModel]:
    """Manifests name the blob with the weights (ollama, `server/manifest.go`)."""
    store = PurePosixPath(host.env.get("OLLAMA_MODELS") or home / ".ollama/models")
    for path in host.glob(f"{store}/manifests/*/*/*/*"):
        layer = _weights_layer(host.read(path))
        if layer is None:
            continue
        registry, namespace, name, tag = PurePosixPath(path).parts[-4:]
        prefix = "" if (registry, namespace) == ("registry.ollama.ai", "library") else f"{namespace}/"
        digest, size = layer
        blob = f"{store}/blobs/{digest.replace(':', '-')}"
        yield LocalModel(
            name=f"{prefix}{name}:{tag}",
            kind="ollama",
            path=blob,
            origin="ollama",
            size_bytes=size,
            digest=digest.removeprefix("sha256:"),
        )


def _weights_layer(manifest: str | None) -> tuple[str, int] | None:
    try:
        layers: Any = json.loads(manifest or "")["layers"]
        for layer in layers:
            if layer["mediaType"] == "application/vnd.ollama.image.model":
                return str(layer["digest"]), int(layer["size"])
    except (ValueError, KeyError, TypeError):
        return None
    return None


def also_named(host: Host, path: str) -> Host:
    """The same machine with the model at `path`, a GGUF file or a folder, among those to be found."""
    changed = copy.copy(host)
    changed.env = {**host.env, VARIABLE: os.pathsep.join(filter(None, (path, host.env.get(VARIABLE))))}
    return changed


def _named(host: Host, folder: PurePosixPath) -> Iterator[LocalModel]:
    if folder.suffix == ".gguf" and _size(host, str(folder)) is not None:
        yield from _gguf(host, str(folder), "named", folder.stem)
        return
    yield from _ggufs(host, folder, "named")
    for depth in range(DEPTH):
        for config in host.glob(f"{folder}/{'*/' * depth}config.json"):
            parent = PurePosixPath(config).parent
            yield from _folder(host, parent, parent.name, "named")


def _ggufs(host: Host, folder: PurePosixPath, origin: str) -> Iterator[LocalModel]:
    for depth in range(DEPTH):
        for path in host.glob(f"{folder}/{'*/' * depth}*.gguf"):
            yield from _gguf(host, path, origin, PurePosixPath(path).stem)


def _gguf(host: Host, path: str, origin: str, name: str) -> Iterator[LocalModel]:
    """One entry per model: of a split file ("-00001-of-00003") only the first part, with the size of all."""
    file = PurePosixPath(path).name
    if file.startswith("mmproj"):  # a projector for images, no model by itself
        return
    head, separator, tail = file.rpartition("-of-")
    if separator and not head.endswith("-00001"):
        return
    parts = host.glob(f"{PurePosixPath(path).parent}/{head[:-5]}?????-of-{tail}") if separator else [path]
    sizes = [size for part in parts if (size := _size(host, part)) is not None]
    if sizes:
        yield LocalModel(name=name, kind="gguf", path=path, origin=origin, size_bytes=sum(sizes), files=len(sizes))


def _size(host: Host, path: str) -> int | None:
    try:
        return host.path(path).stat().st_size
    except OSError:
        return None
