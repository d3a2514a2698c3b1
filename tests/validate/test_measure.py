"""Times from events, with a clock that the test sets."""

from __future__ import annotations

import pytest

from envcheck.schema.backend import Exchange, Piece
from envcheck.validate.measure import times

MS = 1_000_000


def exchange(*pieces: Piece, tokens: int | None, ended: str = "complete") -> Exchange:
    return Exchange(sent_ns=0, ended=ended, pieces=pieces, output_tokens=tokens)  # type: ignore[arg-type]


def stream(count: int, first_ms: int = 50, gap_ms: int = 5) -> list[Piece]:
    return [Piece(ns=(first_ms + i * gap_ms) * MS, text="x") for i in range(count)]


def test_one_token_per_chunk() -> None:
    found = times(exchange(*stream(200), tokens=200))
    assert (found.ttft_ms, found.e2e_ms, found.tpot_ms, found.decode_tps) == (50, 1045, 5, 200)
    assert (found.chunks, found.coalesced_share) == (200, 0)


def test_a_last_token_without_text_does_not_bend_the_pace() -> None:
    assert times(exchange(*stream(199), tokens=200)).tpot_ms == 5


def test_four_tokens_per_chunk() -> None:
    found = times(exchange(*stream(50, gap_ms=20), tokens=200))
    assert found.tpot_ms == pytest.approx(5)
    assert found.note == "200 tokens in 50 chunks: the first chunk is taken to hold 4.0"


def test_reasoning_is_the_first_token_and_text_the_first_answer() -> None:
    pieces = [Piece(ns=(50 + i * 5) * MS, reasoning="h") for i in range(100)]
    pieces += [Piece(ns=(550 + i * 5) * MS, text="x") for i in range(100)]
    found = times(exchange(*pieces, tokens=200))
    assert (found.ttft_ms, found.ttfa_ms, found.tpot_ms) == (50, 550, 5)


def test_reads_that_held_several_events_are_counted() -> None:
    pieces = [Piece(ns=MS, text="a"), Piece(ns=MS, text="b"), Piece(ns=2 * MS, text="c")]
    assert times(exchange(*pieces, tokens=3)).coalesced_share == 0.5


@pytest.mark.parametrize(
    ("pieces", "tokens"),
    [
        pytest.param(stream(5), None, id="no token count"),
        pytest.param(stream(1), 1, id="one token"),
        pytest.param([Piece(ns=MS, text="all at once")], 40, id="one chunk"),
        pytest.param([Piece(ns=MS, text="a"), Piece(ns=MS, text="b")], 2, id="all in one read"),
        pytest.param([Piece(ns=MS, text="a"), Piece(ns=2 * MS, text="b")], 0, id="a count of zero"),
    ],
)
def test_no_pace_where_the_stream_does_not_tell(pieces: list[Piece], tokens: int | None) -> None:
    found = times(exchange(*pieces, tokens=tokens))
    assert (found.tpot_ms, found.decode_tps) == (None, None)
    assert found.ttft_ms is not None


def test_a_broken_answer_has_a_first_token_and_no_end() -> None:
    found = times(exchange(*stream(5), tokens=None, ended="cut"))
    assert (found.ttft_ms, found.e2e_ms) == (50, None)


def test_no_text_no_times() -> None:
    assert times(exchange(tokens=0)).ttft_ms is None
