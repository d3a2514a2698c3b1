"""Tool calls that a model wrote as text, for engines that hand the text over as it is."""

from __future__ import annotations

import json
from typing import Any

_SCAN = 64
"""Openings of an object that are tried in one answer."""


def written(text: str) -> str:
    """The calls in an answer as a JSON list in OpenAI's shape, "" where there are none.

    Models write `{"name": …, "arguments": …}` (Hermes, Qwen, Mistral: between tags or in a list) or `"parameters"`
    (Llama 3.1 and later); the tags do not matter, the object does.
    """
    found: list[dict[str, Any]] = []
    at, decoder = 0, json.JSONDecoder()
    for _ in range(_SCAN):
        at = text.find("{", at)
        if at < 0:
            break
        try:
            document, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        call = _call(document)
        if call is not None:
            found.append({"index": len(found), "function": call})
    return json.dumps(found) if found else ""


def _call(document: object) -> dict[str, Any] | None:
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        return None
    arguments = document.get("arguments", document.get("parameters"))
    return {"name": document["name"], "arguments": arguments} if isinstance(arguments, dict) else None
