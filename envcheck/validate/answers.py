"""Is the answer right, wrong, refused, empty or looping? One rule per kind of prompt, none of which runs the answer.

Each rule returns a verdict with its reason in words. What a rule can and cannot tell stands beside the prompt in
`requirements_matrix/prompts.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from envcheck.schema.facts import Record
from envcheck.schema.run import Answer
from envcheck.validate import code
from envcheck.validate.prompts import Judge, PromptSet, Row


class Judged(Record):
    """The verdict on one answer and why."""

    answer: Answer
    why: str


def judge(text: str, row: Row, prompts: PromptSet) -> Judged:
    """Judge one whole answer. Looping counts only where the answer is not right before it starts to repeat."""
    if not text.strip():
        return Judged(answer="empty", why="the answer has no text")
    if row.judge != "starts_with" and _refuses(text, prompts.refusals.openings):
        return Judged(answer="refused", why=f"the answer declines: {_start(text)!r}")
    document = prompts.documents.get(row.document, "")
    judged = _summary(text, row, document) if row.judge == "summary" else _RULES[row.judge](text, row)
    if judged.answer != "right" and (loop := repeated(text)):
        return Judged(answer="looping", why=f"the answer repeats {_start(loop)!r}; {judged.why}")
    return judged


def repeated(text: str, share: float = 0.5, times: int = 4) -> str:
    """The unit that the end of `text` repeats at least `times` times over at least `share` of it; "" when none does.

    The last unit may be cut. Linear in the text for each length of unit up to a quarter of it.
    """
    body = text.strip()[-4000:]
    for length in range(1, len(body) // times + 1):
        run = 0
        for at in range(len(body) - 1, length - 1, -1):
            if body[at] != body[at - length]:
                break
            run += 1
        covered = run + length if run else 0
        if covered >= times * length and covered >= share * len(body) and covered >= 24:
            return body[-length:]
    return ""


def _refuses(text: str, openings: tuple[str, ...]) -> bool:
    opening = text.strip().lower().replace("’", "'")[:120]
    return any(opening.startswith(words) for words in openings)


def _start(text: str, limit: int = 60) -> str:
    words = " ".join(text.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _starts_with(text: str, row: Row) -> Judged:
    """The continuation begins as expected; how engines split spaces does not matter."""
    seen = " ".join(text.split())
    if any(seen == wanted or seen.startswith(wanted + " ") for wanted in row.accept):
        return Judged(answer="right", why=f"continued with {_start(seen)!r}")
    return Judged(answer="wrong", why=f"expected {row.accept[0]!r}, got {_start(seen)!r}")


_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_NEGATION = re.compile(r"\b(?:not|isn't|never|no longer|rather than|instead of|wasn't)\s+(?:\w+\s+){0,2}$")


def _states(text: str, row: Row) -> Judged:
    """A sentence joins the subject with an accepted word (or the whole sentence is little more than that word)."""
    claims = [_claim(sentence.lower().replace("’", "'"), row) for sentence in _SENTENCE.findall(text)]
    claims = [claim for claim in claims if claim is not None]
    if not claims:
        return Judged(answer="wrong", why=f"nowhere states {row.accept[0]!r}: {_start(text)!r}")
    wrong = [sentence for right, sentence in (c for c in claims if c) if not right]
    if wrong:
        return Judged(answer="wrong", why=f"claims something else: {_start(wrong[0])!r}")
    return Judged(answer="right", why=f"states {row.accept[0]!r}")


def _claim(sentence: str, row: Row) -> tuple[bool, str] | None:
    """(is right, sentence) for a sentence that answers the question, None for one that does not."""
    for word in row.accept:
        for match in re.finditer(rf"\b{re.escape(word)}\b", sentence):
            about = any(re.search(rf"\b{re.escape(s)}\b", sentence) for s in row.subject)
            short = len(sentence.split()) <= len(word.split()) + 3
            if about or short:
                return not _NEGATION.search(sentence[: match.start()]), sentence
    subjects = "|".join(re.escape(s) for s in row.subject)
    other = re.search(
        rf"\b(?:{subjects})\b(?: city)?(?: of \w+)? (?:is|was) (?:the )?(?:city of )?([a-zà-ÿ'-]+)", sentence
    )
    if other and other[1] not in {"a", "an", "the", "not", "known", "one", "located", "also", "called", "named"}:
        return False, sentence
    return None


_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirty": 30, "sixty": 60, "ninety": 90, "half an": 0.5, "an": 1, "a": 1,
}  # fmt: skip
_DURATION = re.compile(
    rf"(?:(?<![\w.])(\d+(?:\.\d+)?)|\b({'|'.join(_NUMBERS)}))[\s-]*(hours?|hrs?|h|minutes?|mins?|days?)\b"
    r"(?:\s*(?:and|,)?\s*(\d+)\s*(?:minutes?|mins?)\b)?",
    re.IGNORECASE,
)


def _duration(text: str, row: Row) -> Judged:
    """The last duration named is what the answer settles on."""
    found = [(_minutes(match), match[0]) for match in _DURATION.finditer(text)]
    if not found:
        return Judged(answer="wrong", why=f"names no duration: {_start(text)!r}")
    last, words = found[-1]
    if last != row.minutes:
        return Judged(answer="wrong", why=f"settles on {words.strip()!r}, expected {row.minutes} minutes")
    others = sorted({w.strip() for m, w in found if m != row.minutes})
    also = f", after naming {', '.join(others[:3])}" if others else ""
    return Judged(answer="right", why=f"settles on {words.strip()!r}{also}")


def _minutes(match: re.Match[str]) -> float:
    number = float(match[1]) if match[1] else float(_NUMBERS[match[2].lower()])
    unit = match[3].lower()
    factor = 1440 if unit.startswith("d") else 60 if unit.startswith("h") else 1
    return number * factor + float(match[4] or 0)


def _python_sort(text: str, _row: Row) -> Judged:
    found = code.sorting(text)
    return Judged(answer="right" if found.sorts else "wrong", why=found.why)


COPIED_MOST = 0.5
"""Part of a summary that may lie in runs of 8 words of the document: more is copying out, not summing up."""
_FIGURE = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?")
_LIST_NUMBER = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)


def _summary(text: str, row: Row, document: str) -> Judged:
    """Shorter than the document, in words of its own, on its points, and without figures of its own making."""
    said, source = _words(text), _words(document)
    if len(said) >= 0.6 * len(source):
        return Judged(answer="wrong", why=f"{len(said)} words are no summary of {len(source)}")
    copied = _copied(said, source)
    if len(said) >= 40 and copied > COPIED_MOST:
        return Judged(answer="wrong", why=f"{copied:.0%} of it is copied from the document word for word")
    count = len(re.findall(r"\w[^.!?]*[.!?](?:\s|$)", text))
    if row.sentences_most and count > row.sentences_most:
        return Judged(answer="wrong", why=f"has {count} sentences, at most {row.sentences_most} pass")
    invented = sorted(_figures(_LIST_NUMBER.sub("", text)) - _figures(document))
    if invented:
        return Judged(answer="wrong", why=f"gives figures the document does not have: {', '.join(invented[:4])}")
    flat = " ".join(text.lower().split())
    met = sum(any(re.search(rf"\b{re.escape(word)}\b", flat) for word in point) for point in row.points)
    answer: Answer = "right" if met >= row.points_needed else "wrong"
    return Judged(answer=answer, why=f"touches {met} of {len(row.points)} points ({row.points_needed} needed)")


def _words(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def _figures(text: str) -> set[str]:
    return {match.replace(",", "").rstrip(".") for match in _FIGURE.findall(text)}


def _copied(said: list[str], source: list[str], run: int = 8) -> float:
    """Part of the words said that lie in a run of `run` words found in the source."""
    if len(said) < run:
        return 0.0
    runs = {tuple(source[i : i + run]) for i in range(len(source) - run + 1)}
    covered = {i + k for i in range(len(said) - run + 1) if tuple(said[i : i + run]) in runs for k in range(run)}
    return len(covered) / len(said)


# "summary" needs the document; "tool_call" and "closer" judge more than text: envcheck/validate/abilities.py.
_RULES: dict[Judge, Callable[[str, Row], Judged]] = {
    "starts_with": _starts_with,
    "states": _states,
    "duration": _duration,
    "python_sort": _python_sort,
}
