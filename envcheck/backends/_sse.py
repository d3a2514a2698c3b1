"""Server-sent events from bytes that may be cut anywhere (WHATWG HTML standard, 9.2.6 "Interpreting an event stream").

Works on bytes up to a whole event, so half a UTF-8 character at the end of a read is never decoded.
"""

from __future__ import annotations

from collections.abc import Iterator

EVENT_LIMIT = 64 * 1024 * 1024
"""Bytes one event may have before the stream is given up."""


class Decoder:
    """Feed it reads; it yields the data of every event that became whole."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._scanned = 0
        self._data: list[bytes] = []
        self._after_cr = False

    def feed(self, read: bytes) -> Iterator[bytes]:
        """Data of the events that `read` completes, in order."""
        self._rest += read
        if len(self._rest) > EVENT_LIMIT:
            raise OverflowError(f"one event is longer than {EVENT_LIMIT // 2**20} MiB")
        for line in self._lines():
            event = self._take(line)
            if event is not None:
                yield event

    def finish(self) -> Iterator[bytes]:
        """The last event of a stream that ended without its blank line (the standard drops it; servers send it)."""
        if self._rest:
            self._take(bytes(self._rest))
            self._rest.clear()
        event = self._take(b"")
        if event is not None:
            yield event

    def _lines(self) -> Iterator[bytes]:
        """Lines ended by LF, CR or CRLF; a CR ends its line at once, and an LF that follows it is dropped."""
        while True:
            if self._after_cr and self._rest:
                if self._rest[0] == 0x0A:
                    del self._rest[:1]
                self._after_cr = False
            end = _line_end(self._rest, self._scanned)
            if end < 0:
                self._scanned = len(self._rest)
                return
            line = bytes(self._rest[:end])
            self._after_cr = self._rest[end] == 0x0D
            del self._rest[: end + 1]
            self._scanned = 0
            yield line

    def _take(self, line: bytes) -> bytes | None:
        if not line:
            event = b"\n".join(self._data) if self._data else None
            self._data.clear()
            return event
        name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        return None


def _line_end(buffer: bytearray, start: int) -> int:
    ends = [at for at in (buffer.find(b"\n", start), buffer.find(b"\r", start)) if at >= 0]
    return min(ends) if ends else -1
