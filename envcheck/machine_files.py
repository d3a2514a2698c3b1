"""Machines that come as files: snapshots (`--from`) and hypothetical machines (`--assume`).

Whatever is wrong with a file becomes one sentence that names it; nothing in a file is ever run.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from envcheck.schema.errors import InputError
from envcheck.schema.evidence import SCHEMA_VERSION, EvidenceFile
from envcheck.schema.snapshot import Snapshot

SIZE_LIMIT = 64 * 1024 * 1024


def text_of_file(path: Path, what: str) -> str:
    """The text of an input file, or one sentence why it cannot be used."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder: give the {what} file itself.")
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The {what} file {path} cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from None
    if len(data) > SIZE_LIMIT:
        raise InputError(f"The {what} file {path} is larger than {SIZE_LIMIT >> 20} MiB: it is not one of ours.")
    if not data.strip():
        raise InputError(f"The {what} file {path} is empty.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"The {what} file {path} is not UTF-8 text: is it a binary file?") from None


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot in a file written by `envcheck snapshot -o FILE`, parsed by the probes of this version."""
    from envcheck.look import parse

    text = text_of_file(path, "snapshot")
    hint = "write one with `envcheck snapshot -o FILE`"
    try:
        file = msgspec.json.decode(text, type=EvidenceFile)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"{path} is JSON but no snapshot ({error}): {hint}.") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{path} is not complete JSON ({error}): {hint}.") from None
    if file.schema_version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has snapshot version {file.schema_version!r}, this envcheck reads {SCHEMA_VERSION!r}: "
            f"{hint}, or use the envcheck that wrote it ({file.envcheck or 'unknown'})."
        )
    return parse(file)


def read_assumption(path: Path) -> Snapshot:
    """The hypothetical machine in a TOML or JSON file."""
    from envcheck.alias import alias
    from envcheck.importers import assume

    assumption = assume.read(text_of_file(path, "machine"), str(path))
    snapshot = assume.to_snapshot(assumption)
    return msgspec.structs.replace(snapshot, alias=alias(snapshot, assumption.alias))
