"""Answers judged: right and wrong ones of every kind, and the near misses between them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.schema.errors import EnvcheckError
from envcheck.schema.run import Answer
from envcheck.validate import prompts
from envcheck.validate.answers import judge, repeated

PROMPTS = prompts.load()
ROWS = {row.id: row for row in PROMPTS.row}
TEXT_ROWS = [row.id for row in PROMPTS.row if row.judge not in ("tool_call", "closer")]

CASES: list[tuple[str, Answer, str]] = [
    ("fixed_answer", "right", " 5 6 7 8"),
    ("fixed_answer", "right", "5  6 7 8 9 10"),
    ("fixed_answer", "wrong", " 56 78"),
    ("fixed_answer", "wrong", "5 6 7 80"[:3] + "0"),
    ("fixed_answer", "wrong", "!!!!!!!!"),
    ("fixed_answer", "empty", " \n "),
    ("capital_of_france", "right", "Paris"),
    ("capital_of_france", "right", "Paris."),
    ("capital_of_france", "right", "The capital of France is Paris."),
    ("capital_of_france", "right", "**Paris** is the capital of France, on the Seine."),
    ("capital_of_france", "right", "It's Paris!"),
    ("capital_of_france", "right", "The capital is Paris, not Lyon. Lyon is the third-largest city."),
    ("capital_of_france", "right", "France's capital city is Paris.\n\nIs there anything else?"),
    ("capital_of_france", "wrong", "The capital of France is Lyon, not Paris."),
    ("capital_of_france", "wrong", "The capital of France is not Paris."),
    (
        "capital_of_france",
        "wrong",
        "The capital of France is Marseille. Paris is a large city in the north of the country.",
    ),
    (
        "capital_of_france",
        "wrong",
        "France has many cities such as Lyon, Paris and Nice that attract visitors every year.",
    ),
    ("capital_of_france", "wrong", "Parisian"),
    ("capital_of_france", "refused", "I'm sorry, but I can't help with that."),
    ("capital_of_france", "looping", "the city of the " * 30),
    ("capital_of_france", "right", "The capital of France is Paris. " * 10),
    ("train_journey", "right", "The journey is 2 hours."),
    ("train_journey", "right", "It takes two hours"),
    ("train_journey", "right", "4 PM - 2 PM = 2 hours, so 120 minutes."),
    ("train_journey", "right", "a 2-hour journey"),
    ("train_journey", "right", "2h"),
    ("train_journey", "right", "1 hour and 60 minutes"),
    ("train_journey", "wrong", "The journey is 1.5 hours."),
    ("train_journey", "wrong", "The journey is 2.2 hours."),
    ("train_journey", "wrong", "It takes 2 hours to get ready. The journey takes 4 hours."),
    ("train_journey", "wrong", "It leaves at 2 PM and arrives at 4 PM."),
    ("train_journey", "wrong", "2 hours and 30 minutes"),
    ("train_journey", "refused", "As an AI, I cannot calculate journeys."),
    ("sort_list", "right", "```python\ndef sort_list(items):\n    return sorted(items)\n```"),
    ("sort_list", "right", "Here:\n```\ndef f(x):\n    x.sort()\n    return x\n```\nDone."),
    ("sort_list", "right", "def f(x):\n    return sorted(x)"),
    (
        "sort_list",
        "right",
        "```python\ndef bubble(a):\n    n = len(a)\n    for i in range(n):\n        for j in range(n - 1):\n"
        "            if a[j] > a[j + 1]:\n                a[j], a[j + 1] = a[j + 1], a[j]\n    return a\n```",
    ),
    (
        "sort_list",
        "right",
        "```py\ndef quick(a):\n    if not a:\n        return a\n    p = a[0]\n    low = [x for x in a[1:] if x < p]\n"
        "    high = [x for x in a[1:] if x >= p]\n    return quick(low) + [p] + quick(high)\n```",
    ),
    ("sort_list", "right", "```python\ndef f(x):\n    return sorted(x)\n\nprint(f([3, 1,"),
    ("sort_list", "wrong", "```python\ndef f(x)\n    return sorted(x)\n```"),
    ("sort_list", "wrong", "```python\nprint(sorted([3, 1, 2]))\n```"),
    ("sort_list", "wrong", "```python\ndef f(x):\n    return x[::-1]\n```"),
    ("sort_list", "wrong", "```python\ndef sorted(x):\n    return sorted(x)\n```"),
    ("sort_list", "wrong", "```python\ndef f():\n    return sorted([1])\n```"),
    ("sort_list", "wrong", "Use the sorted function."),
    ("sort_list", "wrong", "```python\nimport os\nos.remove('/tmp/x')\n```"),
    (
        "document_summary",
        "right",
        "The KV cache stores keys and values of earlier tokens so that they need not be computed again. Its memory "
        "grows with layers and context. Grouped-query attention, quantization and paged attention make it smaller.",
    ),
    ("document_summary", "wrong", "The document is about trains and how they travel between cities in France."),
    (
        "document_summary",
        "wrong",
        "The KV cache takes memory for every layer: a model with 80 layers needs 640 KiB for each token.",
    ),
    ("document_summary", "wrong", PROMPTS.documents["documents/kv_cache.md"]),
    ("document_summary", "wrong", PROMPTS.documents["documents/kv_cache.md"][:900]),
    (
        "document_summary",
        "wrong",
        "It stores keys. It uses memory. It has layers. It has heads. It has blocks. It waits.",
    ),
    ("remembers_a_name", "right", "Ada"),
    ("remembers_a_name", "right", "Your name is Ada."),
    ("remembers_a_name", "right", "You told me that you are called Ada, didn't you?"),
    ("remembers_a_name", "wrong", "I do not know your name."),
    ("remembers_a_name", "wrong", "My name is Max. What is your name?"),
    ("remembers_a_name", "wrong", "Your name is not Ada."),
    ("remembers_a_name", "wrong", "Your name is Adam."),
    ("remembers_a_name", "refused", "I'm sorry, but I cannot know that."),
    ("colour_of_a_picture", "right", "Red."),
    ("colour_of_a_picture", "right", "The picture is filled with a bright red."),
    ("colour_of_a_picture", "wrong", "The colour is blue."),
    ("colour_of_a_picture", "wrong", "I see a tired dog."),
    ("document_summary", "looping", "This process consumes a single head and a single head at each step. " * 8),
]


@pytest.mark.parametrize(("id", "answer", "text"), CASES)
def test_verdict(id: str, answer: Answer, text: str) -> None:
    judged = judge(text, ROWS[id], PROMPTS)
    assert judged.answer == answer, judged.why
    assert judged.why


@pytest.mark.parametrize("id", TEXT_ROWS)
@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=300))
def test_any_text_gets_a_verdict(id: str, text: str) -> None:
    assert judge(text, ROWS[id], PROMPTS).answer in ("right", "wrong", "refused", "empty", "looping")


@settings(max_examples=60, deadline=None)
@given(
    unit=st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), min_size=6, max_size=40),
    times=st.integers(5, 12),
)
def test_a_repeated_unit_is_found_and_words_are_not(unit: str, times: int) -> None:
    assert repeated(unit * times)
    assert not repeated("The journey takes two hours because four minus two is two.")


def test_hostile_code_is_only_looked_at() -> None:
    deep = "```python\ndef f(x):\n    return " + "(" * 5000 + "x" + ")" * 5000 + "\n```"
    assert judge(deep, ROWS["sort_list"], PROMPTS).answer == "wrong"
    assert judge("```python\ndef f(x):\n    return '\0'\n```", ROWS["sort_list"], PROMPTS).answer == "wrong"


def test_every_prompt_states_its_source_and_limits() -> None:
    for row in PROMPTS.row:
        assert row.source
        assert row.checked
        assert row.tells
        assert row.cannot_tell


def test_a_bad_row_names_itself(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "prompts.toml"
    row = msgspec.to_builtins(ROWS["fixed_answer"])
    head = {"settings": msgspec.to_builtins(PROMPTS.settings), "refusals": msgspec.to_builtins(PROMPTS.refusals)}
    path.write_bytes(msgspec.json.encode(head))
    with pytest.raises(EnvcheckError, match=r"prompts\.toml"):
        prompts.load(path)
    row["prompt"] = "both"
    other = path.with_name("other.toml")
    lines = [
        f"[{k}]\n" + "\n".join(f"{a} = {msgspec.json.encode(b).decode()}" for a, b in v.items())
        for k, v in head.items()
    ]
    lines += ["[[row]]", *(f"{a} = {msgspec.json.encode(b).decode()}" for a, b in row.items())]
    other.write_text("\n".join(lines))
    with pytest.raises(EnvcheckError, match="'fixed_answer' needs either"):
        prompts.load(other)
