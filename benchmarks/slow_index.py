"""A package index on this machine that hands out wheels no faster than a line of so many Mbit/s."""

from __future__ import annotations

import contextlib
import hashlib
import html
import http.server
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

PIECE = 64 * 1024


class Line:
    """What all connections share."""

    def __init__(self, mbit_per_s: float) -> None:
        self.bytes_per_s = mbit_per_s * 1e6 / 8
        self.free_at = time.monotonic()
        self.lock = threading.Lock()

    def carry(self, size: int) -> None:
        """Wait until `size` bytes have had their time on the line."""
        with self.lock:
            self.free_at = max(self.free_at, time.monotonic()) + size / self.bytes_per_s
            until = self.free_at
        time.sleep(max(until - time.monotonic(), 0))


class Handler(http.server.BaseHTTPRequestHandler):
    """Pages by name (PEP 503), wheels, and their metadata beside them (PEP 658)."""

    protocol_version = "HTTP/1.1"
    wheels: Path
    line: Line

    def do_GET(self) -> None:
        """A page or a file."""
        _, kind, name, *_ = [*self.path.split("/"), "", ""]
        path = self.wheels / name
        if kind == "simple":
            self.send(self.page(name), "text/html")
        elif path.name == name and path.is_file():
            self.send(path.read_bytes(), "application/octet-stream")
        elif name.endswith(".metadata") and (self.wheels / name.removesuffix(".metadata")).is_file():
            self.send(metadata(self.wheels / name.removesuffix(".metadata")), "text/plain")
        else:
            self.send_error(404)

    def page(self, project: str) -> bytes:
        """The wheels of a project."""
        files = [path for path in sorted(self.wheels.glob("*.whl")) if normal(path.name.partition("-")[0]) == project]
        return "".join(
            f'<a href="/files/{html.escape(path.name)}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}" '
            f'data-dist-info-metadata="true">{html.escape(path.name)}</a>\n'
            for path in files
        ).encode()

    def send(self, body: bytes, kind: str) -> None:
        """An answer, at the pace of the line."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), PIECE):
            piece = body[start : start + PIECE]
            self.line.carry(len(piece))
            self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def normal(name: str) -> str:
    """A project's name as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def metadata(wheel: Path) -> bytes:
    """What a wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (inside,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        return archive.read(inside)


@contextlib.contextmanager
def index(wheels: Path, mbit_per_s: float) -> Iterator[str]:
    """The address of an index of the wheels in a folder, while it is open."""
    handler = type("_Handler", (Handler,), {"wheels": wheels, "line": Line(mbit_per_s)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
    finally:
        server.shutdown()
        server.server_close()
