"""What a model can do beyond text, as servers on OpenAI's wire tell it: by a claim, or by answering a route."""

from __future__ import annotations

import base64
import http.client
import math
from collections.abc import Mapping
from typing import Any

from envcheck.backends import _http
from envcheck.schema.backend import Claim
from envcheck.schema.errors import EnvcheckError

SHORT_S = 30.0
TEXT = Claim(claimed=True, says="every model here is asked for text")
Vectors = tuple[tuple[float, ...], ...]


def embed(
    to: _http.Address, route: str, model: str, texts: tuple[str, ...], limit_s: float, headers: dict[str, str]
) -> Vectors:
    """Vectors of `POST …/embeddings`, in the order of the texts. Raises EnvcheckError with one clause."""
    try:
        found = _http.post(to, route, {"model": model, "input": list(texts)}, limit_s, headers)
    except _http.Refused as refusal:
        raise EnvcheckError(f"the server answered {refusal}") from refusal
    except (OSError, http.client.HTTPException) as fault:
        raise EnvcheckError(f"the server did not answer ({type(fault).__name__})") from fault
    rows = found.get("data") if isinstance(found, dict) else None
    vectors = [row.get("embedding") for row in rows] if isinstance(rows, list) and all_tables(rows) else []
    if len(vectors) != len(texts):
        raise EnvcheckError(f"{len(texts)} texts came back as {len(vectors)} vectors")
    return tuple(vector(found) for found in vectors)


def claims_text(to: _http.Address, route: str, model: str) -> Claim:
    """Text, unless the server gives vectors and refuses a token of text: then its model is for embeddings alone.

    `route` ends in the API's version, "/v1". Vectors are asked for first, so that no other server is warmed up by this.
    """
    if not claims_embedding(to, f"{route}/embeddings", model, {}).claimed:
        return TEXT
    try:
        _http.post(to, f"{route}/completions", {"model": model, "prompt": "1 2 3", "max_tokens": 1}, SHORT_S)
    except _http.Refused as refusal:
        return Claim(claimed=False, says=f"the model is for embeddings: {route}/completions answered {refusal}")
    except (OSError, http.client.HTTPException):
        return TEXT
    return TEXT


def all_tables(rows: list[Any]) -> bool:
    """Whether every row is a JSON object."""
    return all(isinstance(row, dict) for row in rows)


def vector(found: object) -> tuple[float, ...]:
    """A list of numbers; null, which JSON writers put for NaN, becomes NaN. Raises EnvcheckError for anything else."""
    if not isinstance(found, list) or not found:
        raise EnvcheckError("an embedding is not a list of numbers")
    numbers = [math.nan if value is None else value for value in found]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
        raise EnvcheckError("an embedding is not a list of numbers")
    return tuple(float(value) for value in numbers)


def claims_embedding(to: _http.Address, route: str, model: str, headers: dict[str, str]) -> Claim:
    """Embeddings are claimed where the route answers with a vector: servers without them refuse it."""
    try:
        embed(to, route, model, ("Hello.",), SHORT_S, headers)
    except EnvcheckError as error:
        return Claim(claimed=False, says=f"{route} offers no embeddings: {error}")
    return Claim(claimed=True, says=f"{route} answers")


_TOOL = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The time of day",
        "parameters": {"type": "object", "properties": {}},
    },
}


def takes_tools(to: _http.Address, route: str, model: str) -> Claim:
    """Whether the server accepts a prompt with a tool: one that was started without a parser for calls refuses it."""
    return _taken(to, route, {"model": model, "messages": [{"role": "user", "content": "Hello."}], "tools": [_TOOL]})


def takes_pictures(to: _http.Address, route: str, model: str, png: bytes) -> Claim:
    """Whether the server accepts a prompt with a picture: one whose model has no encoder refuses it."""
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    content = [{"type": "text", "text": "Hello."}, {"type": "image_url", "image_url": {"url": url}}]
    return _taken(to, route, {"model": model, "messages": [{"role": "user", "content": content}]})


def _taken(to: _http.Address, route: str, body: dict[str, Any]) -> Claim:
    """By asking for one token."""
    try:
        _http.post(to, route, {**body, "max_tokens": 1, "temperature": 0}, SHORT_S)
    except _http.Refused as refusal:
        return Claim(claimed=False, says=f"{route} refuses it: {refusal}")
    except (OSError, http.client.HTTPException) as fault:
        return Claim(claimed=False, says=f"{route} did not answer when asked whether it takes it ({fault})")
    return Claim(claimed=True, says=f"{route} takes it")


def flag(table: object, key: str, where: str) -> Claim | None:
    """A claim from a boolean in a table of claims; None where the table does not hold it."""
    value = table.get(key) if isinstance(table, Mapping) else None
    if not isinstance(value, bool):
        return None
    return Claim(claimed=value, says=f"{where}.{key} is {str(value).lower()}")


def unsaid(what: str) -> Claim:
    """Nothing claims it, so it is not asked for."""
    return Claim(claimed=False, says=f"nothing says that {what}")
