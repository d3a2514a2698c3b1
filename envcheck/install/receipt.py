"""What a generation was made from, kept inside it, so that the same wish again is nothing to do."""

from __future__ import annotations

from pathlib import Path

import msgspec

from envcheck.schema.facts import Record
from envcheck.schema.plan import PlannedPackage
from envcheck.schema.recipe import Choice

NAME = ".envcheck-receipt.json"
"""File name of a receipt, inside a generation or inside the state folder of an environment changed in place."""


class Receipt(Record, omit_defaults=False):
    """The wish and the answer of one generation."""

    profiles: tuple[str, ...]
    python: str
    """Minor version of the interpreter."""
    choice: Choice
    packages: tuple[PlannedPackage, ...]
    lock: str
    notes: tuple[str, ...] = ()
    torch_backend: str | None = None
    """Index tag that uv must be told for fetching, too; None where the torch comes from the other places."""
    indexes: tuple[str, ...] = ()
    """Addresses of further indexes that uv must be told for fetching."""

    @property
    def hint(self) -> str:
        """What may help where these very versions cannot be had."""
        shipped = any("shipped" in package.origin for package in self.packages)
        return (
            "the versions are those of a shipped lock: --upgrade chooses among what your index has." if shipped else ""
        )


def write(folder: Path, receipt: Receipt) -> None:
    """Leave the receipt in a generation that is being built."""
    (folder / NAME).write_bytes(msgspec.json.encode(receipt))


def read(folder: Path) -> Receipt | None:
    """The receipt of a generation; None where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Receipt)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
