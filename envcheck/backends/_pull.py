"""Fetching a model through a running Ollama server, which keeps partial layers, resumes and checks digests itself.

The only verb of envcheck's backends that makes a server connect out; it runs when a person asked for it by name.
Wire: ollama's docs/api.md, "Pull a Model": lines with `status`, and per layer `digest`, `total` and `completed` bytes.
"""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcheck.backends import _http
from envcheck.backends._exchange import count
from envcheck.schema.backend import Progress
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

STALL_S = 120.0
"""Longest silence: a server checks the digest of a large layer without a word."""
SPARE = 512 * 1024 * 1024
"""Bytes that must stay free on the disk of the store."""
STEP = 5
"""Per cent between two lines of progress."""
LINE_LIMIT = 1024 * 1024


class Layer(Record):
    """Bytes of one layer: there when it was first named, there now, and in all."""

    before: int
    done: int
    total: int


def store(host: Host) -> Path:
    """Where a server on this machine keeps models, as far as this user's variables tell."""
    named = host.env.get("OLLAMA_MODELS")
    return Path(named) if named else Path(host.env.get("HOME") or "/") / ".ollama/models"


def free_bytes(folder: Path) -> int | None:
    """Free space of the disk that holds a folder, or would hold it; None where it cannot be told."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            try:
                return shutil.disk_usage(place).free
            except OSError:
                return None
    return None


def ollama(to: _http.Address, model: str, free: int | None, progress: Progress) -> None:
    """Have the server fetch `model`; `free` bytes are left on its disk, None where that is not this machine's disk.

    Room is looked at as soon as the server names the size of a layer, before the layer itself comes; letting go of
    the connection ends the server's download, and what it has is resumed the next time. Raises EnvcheckError.
    """
    layers: dict[str, Layer] = {}
    told, status = "", ""
    try:
        stream = _http.Stream(to, "/api/pull", {"model": model, "stream": True}, STALL_S, {})
    except _http.Refused as refusal:
        raise EnvcheckError(f"Ollama did not fetch {model}: {refusal}.") from refusal
    except (OSError, http.client.HTTPException) as fault:
        raise EnvcheckError(f"No Ollama server answers at {to.url} ({fault}): start it with `ollama serve`.") from fault
    try:
        for line in _lines(stream):
            if line.get("error"):
                raise EnvcheckError(f"Ollama did not fetch {model}: {str(line['error'])[:300]}.")
            status = str(line.get("status", ""))
            _count_layer(layers, line)
            _hold_room(layers, free, model)
            if (words := _words(layers, status)) != told:
                told = words
                progress(words)
    except TimeoutError as fault:
        raise EnvcheckError(f"Ollama said nothing for {STALL_S:g} s; ask again to go on where it stopped.") from fault
    except (OSError, http.client.HTTPException) as fault:
        raise EnvcheckError(f"The connection to Ollama broke off ({fault}); ask again to go on.") from fault
    finally:
        stream.close()
    if status != "success":
        raise EnvcheckError(f"Ollama ended before it had {model} whole (last: {status or 'nothing'}); ask again.")


def _lines(stream: _http.Stream) -> Iterator[dict[str, Any]]:
    """JSON objects, one a line; what is none is left out. Raises EnvcheckError for a line without end."""
    rest = b""
    for _, data in stream.reads():
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) > LINE_LIMIT:
            raise EnvcheckError("The server sends something that is not Ollama's answer to a pull.")
        yield from filter(None, map(_document, whole))
    if (last := _document(rest)) is not None:
        yield last


def _document(raw: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _count_layer(layers: dict[str, Layer], line: dict[str, Any]) -> None:
    total, digest = count(line.get("total")), line.get("digest")
    if total and isinstance(digest, str):
        done = min(count(line.get("completed")) or 0, total)
        before = layers[digest].before if digest in layers else done
        layers[digest] = Layer(before=before, done=done, total=total)


def _hold_room(layers: dict[str, Layer], free: int | None, model: str) -> None:
    """`free` was read before anything came, so it is set against all that this call has to write."""
    missing = sum(layer.total - layer.before for layer in layers.values())
    if free is not None and missing and missing + SPARE > free:
        gib = 1024**3
        raise EnvcheckError(
            f"{model} needs {missing / gib:.1f} GiB and 0.5 GiB to spare, and {free / gib:.1f} GiB are free: "
            "nothing more is fetched."
        )


def _words(layers: dict[str, Layer], status: str) -> str:
    total = sum(layer.total for layer in layers.values())
    done = sum(layer.done for layer in layers.values())
    if not status.startswith("pulling") or not total:
        return status
    percent = int(100 * done / total) // STEP * STEP
    return f"{percent} % of {total / 1024**2:.0f} MiB"
