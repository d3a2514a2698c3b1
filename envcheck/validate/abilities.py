"""What a model can do beyond text, judged: the tool call it made, the vectors it gave. Pure.

What a rule can and cannot tell stands beside the prompt in `requirements_matrix/prompts.toml`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from envcheck.schema.backend import Piece
from envcheck.schema.facts import Record
from envcheck.validate.answers import Judged
from envcheck.validate.prompts import Row

Vectors = Sequence[Sequence[float]]


class Call(Record):
    """One tool call; `arguments` is None where they are no JSON object."""

    name: str
    arguments: dict[str, Any] | None

    def __str__(self) -> str:
        return f"{self.name}({json.dumps(self.arguments, ensure_ascii=False) if self.arguments is not None else '?'})"


def calls(pieces: Sequence[Piece]) -> list[Call]:
    """Fragments put together by `index`, names and arguments appended (OpenAI); Ollama sends all at once."""
    names: dict[int, str] = {}
    arguments: dict[int, Any] = {}
    for piece in pieces:
        for position, fragment in enumerate(_fragments(piece.tool)):
            given = fragment.get("index")
            index = given if isinstance(given, int) else position
            function = fragment.get("function")
            if not isinstance(function, dict):
                continue
            names[index] = names.get(index, "") + str(function.get("name") or "")
            part = function.get("arguments")
            if isinstance(part, str):
                before = arguments.get(index, "")
                arguments[index] = (before if isinstance(before, str) else "") + part
            elif part is not None:
                arguments[index] = part
    return [Call(name=name, arguments=_object(arguments.get(index))) for index, name in sorted(names.items())]


def _fragments(tool: str) -> list[dict[str, Any]]:
    found = json.loads(tool) if tool else []
    return [fragment for fragment in found if isinstance(fragment, dict)] if isinstance(found, list) else []


def _object(arguments: Any) -> dict[str, Any] | None:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    return arguments if isinstance(arguments, dict) else None


def judge_call(made: Sequence[Call], text: str, row: Row) -> Judged:
    """The tool that was offered is called, with each argument naming one of the accepted words."""
    if not made:
        why = f"called no tool: {' '.join(text.split())[:60]!r}"
        return Judged(answer="wrong" if text.strip() else "empty", why=why)
    wanted = row.tool.name if row.tool else ""
    call = next((call for call in made if call.name == wanted), None)
    if call is None:
        return Judged(answer="wrong", why=f"called {made[0].name[:60]!r}, which was not offered")
    if call.arguments is None:
        return Judged(answer="wrong", why=f"called {wanted} with arguments that are no JSON object")
    for name, accepted in row.arguments.items():
        value = str(call.arguments.get(name, "")).lower()
        if not any(word in value for word in accepted):
            return Judged(answer="wrong", why=f"called {wanted} with {name} = {value[:60]!r}")
    return Judged(answer="right", why=f"called {str(call)[:120]}")


def broken_vectors(vectors: Vectors) -> str:
    """Why vectors cannot be right whatever the model: lengths that differ, no numbers, zero length; else ""."""
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) != 1:
        return f"the vectors have different dimensions: {', '.join(map(str, lengths))}"
    if not all(math.isfinite(value) for vector in vectors for value in vector):
        return "a vector holds something that is no number"
    if not all(math.hypot(*vector) > 0 for vector in vectors):
        return "a vector is zero"
    return ""


def judge_vectors(vectors: Vectors) -> Judged:
    """The first two texts mean the same and must lie closer to each other than either lies to the third."""
    near = cosine(vectors[0], vectors[1])
    far = max(cosine(vectors[0], vectors[2]), cosine(vectors[1], vectors[2]))
    says = f"{len(vectors[0])} dimensions; cosine of the similar pair {near:.3f}, of the others at most {far:.3f}"
    return Judged(answer="right" if near > far else "wrong", why=says)


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Cosine similarity of two finite vectors that are not zero, -1 to 1."""
    return sum(a * b for a, b in zip(left, right, strict=True)) / (math.hypot(*left) * math.hypot(*right))
