"""`envcheck matrix`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from envcheck.cli.matrix import COMMAND
from envcheck.judge import lint as lint_module
from envcheck.judge.lint import Complaint
from envcheck.schema.errors import InputError


def run(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(COMMAND, list(arguments), standalone_mode=False, catch_exceptions=False)
    return outcome.return_value or 0, outcome.stdout


def test_the_shipped_matrix_lints_clean() -> None:
    code, output = run("lint", "--format", "json")
    assert [c for c in json.loads(output) if c["level"] == "error"] == []
    assert code == 0


@pytest.mark.parametrize(("level", "code"), [("error", 1), ("warning", 0)])
def test_an_error_gives_exit_code_1(monkeypatch: pytest.MonkeyPatch, level: str, code: int) -> None:
    complaint = Complaint(file="x.toml", row="x.python", level=level, says="is vacuous")  # type: ignore[arg-type]
    monkeypatch.setattr(lint_module, "lint", lambda today: [complaint])
    assert run("lint") == (code, f"{level}: x.toml: x.python: is vacuous\n")


def test_show_lists_the_rows_of_a_backend() -> None:
    _, output = run("show", "ollama")
    assert "ollama.driver.version [>=0.30.11]: nvidia.driver version_at_least 550 (blocker)" in output
    assert "vllm." not in output
    assert "vllm." in run("show")[1]


def test_explain_says_source_date_and_remedy() -> None:
    _, output = run("explain", "vllm.gpu.compute_capability")
    for part in ("must hold", "applies if", "source", "checked 20", "remedy"):
        assert part in output


def test_an_unknown_id_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"Did you mean .*vllm\.gpu\.compute_capability"):
        run("explain", "vllm.gpu.compute_capabilty")
