"""`envcheck validate` as a command: several named servers in one call, as text for people."""

from __future__ import annotations

import pytest

from envcheck.cli import group
from envcheck.cli._validation_text import markdown
from envcheck.schema.run import Reconciled, Run, Validation
from tests.validate.scripted import CLOSE, ScriptedServer
from tests.validate.test_run import ANSWERS, scripts


def test_two_servers_in_one_call(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer([CLOSE]) as gone:
        url = gone.url
    with ScriptedServer(*scripts(ANSWERS)) as server:
        arguments = ["validate", "--backend", f"openai={server.url}#m", "--backend", f"sglang={url}"]
        code = group.main(arguments, standalone_mode=False)
    out = capsys.readouterr().out
    assert code == 3
    assert "openai_compatible: PASSED" in out
    assert "sglang: SKIPPED: No sglang server answers" in out
    assert "weather_tool        skipped" in out


def test_markdown_holds_the_three_ways_and_no_markup_from_outside() -> None:
    row = Reconciled(quantity="memory", unit="MiB", predicted=300.0, measured=281.25, says="host memory")
    run = Run(backend="vllm", model="<b>|m", status="passed", why="right\nand fine", reconciled=(row,))
    text = markdown(Validation(runs=(run,)))
    assert "| memory, MiB | 300 | – | 281.2 | host memory |" in text
    assert "| \\<b\\>\\|m | – | unknown | passed | right and fine |" in text
