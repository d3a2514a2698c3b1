"""Reads JSON answers of local servers; garbage gives None."""

from __future__ import annotations

from typing import Any


def status_of(answer: bytes) -> int:
    """HTTP status, 0 where the answer is not HTTP."""
    from envcheck.loopback import http_body

    return http_body(answer)[0]


def server_of(answer: bytes) -> str:
    """The `Server` header."""
    from envcheck.loopback import http_body

    return http_body(answer)[2]


def json_of(answer: bytes) -> Any:
    """The decoded body of a 200 answer, else None."""
    import msgspec

    from envcheck.loopback import http_body

    status, body, _ = http_body(answer)
    if status != 200:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def answered(body: Any, dotted: str) -> str | None:
    """The text at a dotted path of keys ("data.version"), or None."""
    for key in dotted.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body if isinstance(body, str) and 0 < len(body) <= 200 else None
