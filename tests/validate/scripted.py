"""A server over a real socket that does exactly what a test's script says, byte for byte.

A script is a list of steps: bytes are sent in one write, a float is a pause in seconds, CLOSE ends the connection
properly and RESET breaks it. One connection is served after the other, each with the next script (the last repeats).
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Sequence
from types import TracebackType

CLOSE = "close"
RESET = "reset"
Step = bytes | float | str

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(**fields: object) -> bytes:
    """One server-sent event with a JSON document."""
    return b"data: " + json.dumps(fields, ensure_ascii=False).encode() + b"\n\n"


def text_event(text: str) -> bytes:
    """A completion chunk."""
    return event(choices=[{"index": 0, "text": text, "finish_reason": None}])


def delta(**fields: object) -> bytes:
    """A chat chunk."""
    return event(choices=[{"index": 0, "delta": fields, "finish_reason": None}])


def finish(reason: str = "stop", **usage: int) -> bytes:
    """The last chunk, with token counts where given."""
    last: dict[str, object] = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    return event(**last, **({"usage": usage} if usage else {}))


DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class ScriptedServer:
    """Serves scripts until the `with` ends; `requests` keeps what was asked."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self._scripts = scripts
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.requests: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            socket.create_connection(self._socket.getsockname(), timeout=1).close()
        self._thread.join(timeout=5)
        self._socket.close()

    def _serve(self) -> None:
        served = 0
        while not self._stop.is_set():
            connection, _ = self._socket.accept()
            with connection:
                if self._stop.is_set():
                    return
                with contextlib.suppress(OSError):
                    self.requests.append(_request(connection))
                    self._play(connection, self._scripts[min(served, len(self._scripts) - 1)])
            served += 1

    def _play(self, connection: socket.socket, script: Sequence[Step]) -> None:
        for step in script:
            if isinstance(step, bytes):
                connection.sendall(step)
            elif isinstance(step, float):
                self._stop.wait(step)
            elif step == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            else:
                connection.shutdown(socket.SHUT_WR)
                time.sleep(0.01)
                return


def _request(connection: socket.socket) -> bytes:
    """A whole request: head, then as many bytes as it announces."""
    received = b""
    while b"\r\n\r\n" not in received:
        read = connection.recv(65536)
        if not read:
            return received
        received += read
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
