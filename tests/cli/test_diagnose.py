"""`envcheck diagnose` from outside: exit codes, JSON, batch, and hostile text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envcheck.api_diagnose import diagnose, intent_of
from envcheck.cli.diagnose import COMMAND
from envcheck.schema.errors import InputError

BROKEN = "ModuleNotFoundError: No module named 'sentencepiece'\n"
HEALTHY = "PyTorch version: 2.5.1+cu124\nCUDA used to build PyTorch: 12.4\nIs CUDA available: True\n"


def call(*arguments: str, text: str | None = None) -> tuple[int, Result]:
    done = CliRunner().invoke(COMMAND, list(arguments), input=text, standalone_mode=False)
    return (done.return_value if done.exception is None else -1), done


@pytest.mark.parametrize(("text", "code"), [(BROKEN, 1), (HEALTHY, 0), ("It does not work.", 3), ("", 3)])
@pytest.mark.parametrize("form", ["console", "json"])
def test_exit_codes(text: str, code: int, form: str) -> None:
    assert call("-", "--format", form, text=text)[0] == code


def test_json_follows_the_contract() -> None:
    answer = json.loads(call("-", "--format", "json", text=BROKEN)[1].stdout)
    assert set(answer) == {"findings", "understood", "snapshot"}
    finding = answer["findings"][0]
    assert set(finding) == {"cause", "severity", "says", "evidence", "remedy", "confidence"}
    assert finding["evidence"] == [{"line": 1, "text": BROKEN.strip()}]


def test_error_lines_count_on_after_the_dump(tmp_path: Path) -> None:
    (tmp_path / "error").write_text(BROKEN)
    (tmp_path / "dump").write_text(HEALTHY)
    done = call(str(tmp_path / "dump"), "--error", str(tmp_path / "error"), "--format", "json")[1]
    assert json.loads(done.stdout)["findings"][0]["evidence"][0]["line"] == 4


def test_intent_file(tmp_path: Path) -> None:
    (tmp_path / "intent").write_text(json.dumps({"backend": "vllm", "flags": {"tensor_parallel_size": 4}}))
    text = "GPU 0: NVIDIA L4 (UUID: GPU-0)"
    code, done = call("-", "--intent", str(tmp_path / "intent"), "--format", "json", text=text)
    assert code == 1
    assert json.loads(done.stdout)["findings"][0]["cause"] == "parallel_size_exceeds_gpus"


def test_batch_answers_every_line_in_order(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "dump": HEALTHY, "intent": None},
        {"id": "b", "dump": "", "intent": {"backend": None, "flags": None}, "error": [BROKEN.strip()]},
        {"id": "c", "dump": BROKEN, "intent": {"flags": ["--tp=2"]}},
    ]
    (tmp_path / "cases").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    code, done = call("--batch", str(tmp_path / "cases"), "--format", "jsonl")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert code == 1
    assert [answer["id"] for answer in answers] == [1, "b", "c"]
    assert [bool(answer["findings"]) for answer in answers] == [False, True, True]


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"id": 1}', '{"dump": "x"}', '{"id": 1, "dump": 2}', '{"id": 1, "dump": "", "intent": []}',
     '{"id": 1, "dump": "", "intent": {"flags": 3}}', '{"id": 1, "dump": "", "error": [1]}'],
)  # fmt: skip
def test_bad_batch_lines_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "cases").write_text(line)
    done = call("--batch", str(tmp_path / "cases"))[1]
    assert isinstance(done.exception, InputError)
    assert "line 1" in str(done.exception)


@pytest.mark.parametrize("arguments", [(), ("-", "--batch", "x"), ("no-such-file",), ("-", "--intent", "no-such-file")])
def test_bad_calls(arguments: tuple[str, ...]) -> None:
    assert isinstance(call(*arguments, text="")[1].exception, InputError)


@pytest.mark.parametrize("value", [None, {}, {"flags": "--tp 2"}, {"flags": {"a": None, "b": True, "c": 1}}])
def test_intents(value: Any) -> None:
    assert intent_of(value).backend is None


def test_utf16_is_read(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(BROKEN.encode("utf-16"))
    assert call(str(tmp_path / "dump"))[0] == 1


HOSTILE = st.text(
    alphabet=st.sampled_from("\x1b[31m\x00\u202e<script>alert|`$(rm)&;#\r\n\tcuda error: 35 .so -=_GLIBC"), max_size=400
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HOSTILE)
def test_hostile_text_is_inert(text: str) -> None:
    answer = diagnose(text)
    for finding in answer.findings:
        assert finding.evidence
        for quote in finding.evidence:
            assert all(character >= " " and character != "\u202e" for character in quote.text)


@pytest.mark.parametrize(
    "unit",
    ["cuda error: ", "permission gpu ", "version ", "1.2.", "[pip3] ", "(((", "a-1.0-", "GPU 0: ", "not supported "],
)
def test_long_repetitions_end(unit: str) -> None:
    """Patterns that could backtrack would not come back from these."""
    diagnose(unit * (100_000 // len(unit)))
    diagnose((unit * 30 + "\n") * 300)
