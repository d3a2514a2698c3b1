"""Short questions to services on this machine: all connections at once, one limit for all, nothing that blocks.

Part of `host`: only `Host.ask_loopback` and `Host.ask_socket` call `ask`. Imported only when a question is asked.
"""

from __future__ import annotations

import _socket as socket
import errno
import select
import time

# `socket` wraps the same calls in enumerations and selectors whose import costs more than all the questions together.

ANSWER_LIMIT = 256 * 1024


class _Talk:
    """One connection: connecting, then sent, then read to its end."""

    def __init__(self, address: str | tuple[str, int], sent: bytes) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM, 0)
        self.socket.setblocking(False)
        self.to_send = sent
        self.waits = bool(sent)
        self.connected = False
        self.answer = b""
        code = self.socket.connect_ex(address)
        self.open = code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK)
        self.connected = code == 0

    def ready(self, can_write: bool, can_read: bool) -> None:
        """Go on as far as possible without waiting; `open` turns False at the end."""
        try:
            if not self.connected:
                code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self.connected, self.open = code == 0, code == 0
            if self.open and can_write and self.to_send:
                self.to_send = self.to_send[self.socket.send(self.to_send) :]
            if self.open and can_read and self.connected:
                part = self.socket.recv(65536)
                self.answer += part
                self.open = bool(part) and len(self.answer) < ANSWER_LIMIT and not _is_whole(self.answer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.open = False


Address = str | tuple[str, int]
"""The path of a Unix socket, or an IPv4 address and port."""


def ask(addresses: list[Address], sent: list[bytes], limit_s: float) -> list[tuple[bool, bytes]]:
    """(something listens, what it answered) for each address; an empty question only finds out who listens."""
    deadline = time.monotonic() + limit_s
    talks = [_Talk(address, question) for address, question in zip(addresses, sent, strict=True)]
    try:
        while waiting := [talk for talk in talks if talk.open and (talk.waits or not talk.connected)]:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            writing = [talk.socket for talk in waiting if not talk.connected or talk.to_send]
            reading = [talk.socket for talk in waiting if talk.connected and not talk.to_send]
            can_read, can_write, _ = select.select(reading, writing, [], left)
            for talk in waiting:
                if talk.socket in can_write or talk.socket in can_read:
                    talk.ready(talk.socket in can_write, talk.socket in can_read)
    finally:
        for talk in talks:
            talk.socket.close()
    return [(talk.connected, talk.answer) for talk in talks]


def _is_whole(answer: bytes) -> bool:
    """Whether an HTTP answer with a Content-Length, or a line of another protocol, has arrived completely."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/"):
        return answer.endswith(b"\n") or len(answer) == 1
    if not found:
        return False
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return len(body) >= int(value)
    return body.endswith(b"0\r\n\r\n")


def http_get(path: str) -> bytes:
    """A request that asks the server to close afterwards."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nConnection: close\r\n\r\n".encode()


def http_body(answer: bytes) -> tuple[int, bytes, str]:
    """(status, body without chunk framing, Server header) of an HTTP answer; status 0 where it is none."""
    head, found, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    parts = lines[0].split(b" ") if found else []
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        return 0, b"", ""
    headers = {n.strip().lower(): v.strip() for n, _, v in (line.partition(b":") for line in lines[1:])}
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = _unchunked(body)
    return int(parts[1][:3]), body, headers.get(b"server", b"").decode("latin-1")[:100]


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        try:
            length = int(size.split(b";")[0], 16)
        except ValueError:
            break
        if not 0 < length <= len(rest):
            break
        whole, body = whole + rest[:length], rest[length + 2 :]
    return whole
