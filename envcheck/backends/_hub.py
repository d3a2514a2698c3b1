"""Fetching a model from Hugging Face with `huggingface_hub`, which resumes, keeps blobs by digest and shows progress.

Only files that cannot run code are taken: safetensors or one GGUF, and the texts beside them; never pickles.
`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean to the package.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcheck.backends._pull import SPARE, free_bytes
from envcheck.schema.backend import Progress
from envcheck.schema.errors import EnvcheckError, InputError

if TYPE_CHECKING:
    from envcheck.host import Host

HOW_TO_GET = "pip install 'llm-envcheck[hub]'"
SUFFIXES = (".safetensors", ".json", ".txt", ".jinja", ".model")


def hugging_face(host: Host, name: str, progress: Progress) -> Path:
    """Fetch ORG/NAME, or the one file ORG/NAME/FILE.gguf, into the package's cache.

    Raises InputError for names and settings that mean nothing, EnvcheckError for what the hub or the disk refuses.
    """
    try:
        hub = import_module("huggingface_hub")
    except ImportError as error:
        raise InputError(f"Hugging Face is asked through huggingface_hub, which is not here: {HOW_TO_GET}.") from error
    if host.env.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        raise InputError("HF_HUB_OFFLINE forbids connections: unset it to fetch a model.")
    parts = name.split("/")
    if len(parts) < 2 or not all(parts):
        raise InputError(f"{name!r} is no model of Hugging Face: give it as ORG/NAME, or ORG/NAME/FILE.gguf.")
    repo, file = "/".join(parts[:2]), "/".join(parts[2:])
    try:
        found = hub.HfApi().model_info(repo, files_metadata=True)
        wanted = _wanted(found.siblings or [], file, name)
        size = sum(sibling.size or 0 for sibling in wanted)
        _hold_room(size, Path(hub.constants.HF_HUB_CACHE), name)
        progress(f"{len(wanted)} files, {size / 1024**2:.0f} MiB")
        names = [sibling.rfilename for sibling in wanted]
        folder = Path(hub.snapshot_download(repo, revision=found.sha, allow_patterns=names))
    except (EnvcheckError, KeyboardInterrupt):
        raise
    except Exception as error:  # the package lets errors of several HTTP clients through
        words = (str(error).strip().splitlines() or [""])[0][:200]
        raise EnvcheckError(f"Hugging Face did not give {name}: {type(error).__name__}: {words}.") from error
    _checked(folder, wanted, progress)
    return folder


def _wanted(siblings: list[Any], file: str, name: str) -> list[Any]:
    """The files to take: the one named, else weights in safetensors and the texts beside them."""
    if file:
        found = [sibling for sibling in siblings if sibling.rfilename == file and file.endswith(".gguf")]
    else:
        found = [sibling for sibling in siblings if sibling.rfilename.endswith(SUFFIXES)]
        found = found if any(sibling.rfilename.endswith(".safetensors") for sibling in found) else []
    if not found:
        ggufs = ", ".join(s.rfilename for s in siblings if s.rfilename.endswith(".gguf"))
        hint = f"choose one of {ggufs}" if ggufs else "it has neither safetensors nor GGUF files"
        raise InputError(f"{name} cannot be fetched as it is named: {hint}.")
    return found


def _hold_room(size: int, folder: Path, name: str) -> None:
    free, gib = free_bytes(folder), 1024**3
    if free is not None and size + SPARE > free:
        raise EnvcheckError(
            f"{name} needs {size / gib:.1f} GiB and 0.5 GiB to spare, and {free / gib:.1f} GiB are free: "
            "nothing is fetched."
        )


def _checked(folder: Path, wanted: list[Any], progress: Progress) -> None:
    """Sizes of all files, and sha256 where the hub keeps one. Raises EnvcheckError for a file that is not the hub's."""
    progress("comparing sizes and sha256")
    for sibling in wanted:
        path = folder / sibling.rfilename
        if sibling.size is not None and path.stat().st_size != sibling.size:
            raise EnvcheckError(f"{sibling.rfilename} has {path.stat().st_size} bytes, the hub says {sibling.size}.")
        if sibling.lfs is not None:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != sibling.lfs.sha256:
                raise EnvcheckError(f"The sha256 of {sibling.rfilename} is not the one the hub keeps: delete it.")
