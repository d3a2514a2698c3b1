"""Events come out the same however the bytes were cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.backends._sse import Decoder


def decoded(reads: list[bytes]) -> list[bytes]:
    decoder = Decoder()
    events = [event for read in reads for event in decoder.feed(read)]
    return events + list(decoder.finish())


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b": comment\n\n: another\ndata: a\n\n", [b"a"]),
        (b"event: message\nid: 7\nretry: 10\ndata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: last without blank line", [b"last without blank line"]),
        (b"data\n\n", [b""]),
        (b"\n\n\n", []),
        (b"", []),
        ("data: é\n\n".encode(), ["é".encode()]),
    ],
)
def test_events_of_a_stream(stream: bytes, events: list[bytes]) -> None:
    assert decoded([stream]) == events
    assert decoded([stream[i : i + 1] for i in range(len(stream))]) == events


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=6),
    ends=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    cuts=st.lists(st.integers(0, 400), max_size=12),
)
def test_any_cut_gives_the_same_events(texts: list[str], ends: bytes, cuts: list[int]) -> None:
    stream = b"".join(b"data: " + text.encode() + ends + ends for text in texts)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut <= len(stream))})
    reads = [stream[a:b] for a, b in pairwise(places)]
    assert decoded(reads) == [text.encode() for text in texts]


@settings(max_examples=200, deadline=None)
@given(reads=st.lists(st.binary(max_size=60), max_size=8))
def test_garbage_never_raises(reads: list[bytes]) -> None:
    assert all(isinstance(event, bytes) for event in decoded(reads))


def test_an_event_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envcheck.backends._sse.EVENT_LIMIT", 1000)
    with pytest.raises(OverflowError, match="longer than"):
        decoded([b"data: " + b"x" * 600, b"x" * 600])
