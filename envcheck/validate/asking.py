"""One row of the prompt set put to an engine: a prompt, two turns, a tool, a picture, or texts to embed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from envcheck.schema.backend import Claim, Engine, Exchange, Message, Request
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.run import PromptRun
from envcheck.validate import abilities, measure
from envcheck.validate.answers import Judged, judge
from envcheck.validate.prompts import PromptSet, Row

if TYPE_CHECKING:
    from envcheck.validate.run import Limits


def skipped(claim: Claim, row: Row) -> PromptRun | None:
    """The record of a prompt that is not sent because the model does not claim what it needs; None where it does."""
    if claim.claimed:
        return None
    why = f"not sent: {claim.says}"
    return PromptRun(id=row.id, kind=row.kind, passed=False, answer="not_judged", why=why, skipped_because=claim.says)


def put(engine: Engine, row: Row, prompt_set: PromptSet, limits: Limits) -> tuple[Exchange, Judged]:
    """Send one row and judge what came back. Ctrl-C ends the exchange as `interrupted`."""
    if row.texts:
        return _embedded(engine, row, limits)
    request = prompt_set.request(row)
    exchange = engine.ask(request, limits.prompt_s, limits.stall_s)
    for turn in row.turns[1:]:
        said = measure.answer_text(exchange)
        if exchange.ended != "complete" or not said.strip():
            break
        request = _continued(request, said, turn)
        exchange = engine.ask(request, limits.prompt_s, limits.stall_s)
    return exchange, _judged(exchange, row, prompt_set)


def _continued(request: Request, said: str, turn: str) -> Request:
    """The conversation with the model's own answer and the next turn."""
    more = (Message(role="assistant", content=said), Message(role="user", content=turn))
    return msgspec.structs.replace(request, messages=request.messages + more)


def _judged(exchange: Exchange, row: Row, prompt_set: PromptSet) -> Judged:
    text = measure.answer_text(exchange)
    if exchange.ended != "complete":
        judged = text.strip() or exchange.ended == "interrupted"
        return Judged(answer="not_judged" if judged else "empty", why=exchange.error)
    if row.judge == "tool_call":
        return abilities.judge_call(abilities.calls(exchange.pieces), text, row)
    return judge(text, row, prompt_set)


def _embedded(engine: Engine, row: Row, limits: Limits) -> tuple[Exchange, Judged]:
    """Embed all texts in one request. Vectors that cannot be right are an error, not a weak answer."""
    sent = time.monotonic_ns()
    try:
        vectors = engine.embed(row.texts, limits.prompt_s)
        broken = abilities.broken_vectors(vectors)
    except EnvcheckError as error:
        broken, vectors = str(error), ()
    except KeyboardInterrupt:
        exchange = Exchange(sent_ns=sent, ended="interrupted", error="interrupted by Ctrl-C")
        return exchange, Judged(answer="not_judged", why=exchange.error)
    if broken:
        return Exchange(sent_ns=sent, ended="refused", error=broken), Judged(answer="not_judged", why=broken)
    return Exchange(sent_ns=sent, ended="complete"), abilities.judge_vectors(vectors)
