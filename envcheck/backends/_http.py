"""One HTTP request at a time with the clock read as close to the socket as Python allows.

The standard library's client is used on purpose: at one stream it adds less to the first token than any HTTP package
(no import, no pool, no redirect, no proxy), and a connection goes exactly where it is told to.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record

CONNECT_LIMIT_S = 5.0
BODY_LIMIT = 256 * 1024 * 1024
READ_SIZE = 256 * 1024
ERROR_LIMIT = 64 * 1024


class Address(Record):
    """Where a server listens, taken apart once."""

    scheme: str
    host: str
    port: int
    base: str
    """Path that routes are appended to, without a slash at the end."""

    @property
    def url(self) -> str:
        """The address as one text."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.base}"

    @property
    def is_loopback(self) -> bool:
        """True for addresses that cannot leave this machine."""
        return self.host == "localhost" or self.host == "::1" or self.host.startswith("127.")


def address(url: str) -> Address:
    """Take a URL apart; raises InputError where it is not an http(s) address."""
    text = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{url!r} is not an address of a server: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise InputError(
            f"{url!r} is not an address of a server: give it as http://127.0.0.1:8080/v1, without a login."
        )
    default = 443 if parts.scheme == "https" else 80
    return Address(scheme=parts.scheme, host=parts.hostname, port=port or default, base=parts.path.rstrip("/"))


class Refused(Exception):  # noqa: N818  not an error of ours: an answer
    """The server answered with something other than success."""

    def __init__(self, status: int, says: str) -> None:
        super().__init__(f"HTTP {status}: {says}")
        self.status = status
        self.says = says


def connect(to: Address, limit_s: float) -> http.client.HTTPConnection:
    """An open connection; every wait on it is bounded by `limit_s` from here on."""
    connection: http.client.HTTPConnection
    if to.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(to.host, to.port, timeout=CONNECT_LIMIT_S, context=context)
    else:
        connection = http.client.HTTPConnection(to.host, to.port, timeout=CONNECT_LIMIT_S)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sock.settimeout(limit_s)
    return connection


def get(to: Address, path: str, limit_s: float = 2.0, headers: dict[str, str] | None = None) -> Any:
    """The JSON of a GET, or its text where it is not JSON. Raises Refused, OSError or HTTPException."""
    return _whole(to, "GET", path, None, limit_s, headers)


def post(
    to: Address, path: str, body: dict[str, Any], limit_s: float = 10.0, headers: dict[str, str] | None = None
) -> Any:
    """The JSON of a POST, or its text where it is not JSON. Raises Refused, OSError or HTTPException."""
    return _whole(to, "POST", path, body, limit_s, headers)


def _whole(
    to: Address, method: str, path: str, body: dict[str, Any] | None, limit_s: float, headers: dict[str, str] | None
) -> Any:
    connection = connect(to, limit_s)
    try:
        payload = None if body is None else json.dumps(body).encode()
        connection.request(method, to.base + path, payload, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        raw = response.read(BODY_LIMIT if response.status == 200 else ERROR_LIMIT)
        if response.status != 200:
            raise Refused(response.status, error_words(raw))
    finally:
        connection.close()
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


class Stream:
    """A POST whose answer is read as it comes. `sent_ns` is the clock before the first byte of the request."""

    def __init__(self, to: Address, path: str, body: dict[str, Any], stall_s: float, headers: dict[str, str]) -> None:
        payload = json.dumps(body).encode()
        self._connection = connect(to, stall_s)
        try:
            self.sent_ns = time.monotonic_ns()
            self._connection.request("POST", to.base + path, payload, {"Content-Type": "application/json", **headers})
            self._response = self._connection.getresponse()
            refusal = None if self._response.status == 200 else self._response.read(ERROR_LIMIT)
        except BaseException:
            self._connection.close()
            raise
        if refusal is not None:
            self._connection.close()
            raise Refused(self._response.status, error_words(refusal))
        self.content_type = self._response.headers.get_content_type()

    def reads(self) -> Iterator[tuple[int, bytes]]:
        """(monotonic ns, bytes) of every read until the server ends the answer. Raises OSError or HTTPException."""
        while data := self._response.read1(READ_SIZE):
            yield time.monotonic_ns(), data

    def close(self) -> None:
        """Drop the connection; a server that is still generating notices and stops."""
        self._connection.close()


def error_words(raw: bytes) -> str:
    """The message inside an error body: OpenAI's, llama.cpp's, FastAPI's and Ollama's shapes, else the text itself."""
    text = raw.decode("utf-8", "replace").strip()
    try:
        found: Any = json.loads(text)
    except ValueError:
        return text[:300] or "no explanation"
    for key in ("error", "message", "detail"):
        while isinstance(found, dict) and key in found:
            found = found[key]
    return str(found)[:300] or "no explanation"
