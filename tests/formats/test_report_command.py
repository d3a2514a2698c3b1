"""`envcheck report`: files in, one document out; a report of a report is the same report."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from envcheck.cli.report import COMMAND
from envcheck.compose.checked import check_document
from envcheck.compose.report import compose
from envcheck.formats import render
from envcheck.schema.errors import InputError
from envcheck.schema.run import Validation
from tests.compose.fixtures import HEADER, small_run, titan_fits, titan_judgement, titan_subject, titan_v


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a report and a check result."""
    (tmp_path / "report.json").write_text(render(compose(titan_subject(), HEADER), "json"))
    (tmp_path / "check.json").write_text(render(check_document(titan_v(), titan_judgement(), titan_fits()), "json"))
    return tmp_path


def call(*words: str) -> Result:
    """Run the verb in this process."""
    return CliRunner().invoke(COMMAND, words, standalone_mode=False, catch_exceptions=False)


def test_a_report_of_a_report_is_identical(folder: Path) -> None:
    source = folder / "report.json"
    found = call("--from", str(source), "--format", "json")
    assert found.output == source.read_text()
    assert found.return_value == 1
    written = folder / "again.json"
    call("--from", str(source), "--format", "json", "-o", str(written))
    assert written.read_text() == source.read_text()


def test_a_check_result_becomes_a_report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1780000000")
    text = call("--from", str(folder / "check.json"), "--sprint", "2.7", "--title", "Monday").output
    assert text.startswith("# Monday\n")
    assert "| Timestamp | 2026-05-28T20:26:40+00:00 |" in text
    assert "| Sprint | 2.7 |" in text


def test_a_new_header_keeps_the_rest(folder: Path) -> None:
    text = call("--from", str(folder / "report.json"), "--agent", "somebody else").output
    assert "| Agent | somebody else |" in text
    assert f"| Timestamp | {HEADER.timestamp} |" in text


def test_what_was_run_joins_its_machine(folder: Path) -> None:
    validation = Validation(runs=(small_run(is_fallback=False, backend="llama.cpp", status="passed"),) * 2)
    (folder / "run.json").write_bytes(msgspec.json.encode(validation))
    text = call("--from", str(folder / "check.json"), str(folder / "run.json")).output
    assert "Repeats against predictions" in text
    assert "Proved by real prompts" in text
    for words in (("--from", "run.json"), ("--from", "report.json", "check.json", "run.json")):
        with pytest.raises(InputError, match=r"run\.json|one machine"):
            call(words[0], *(str(folder / name) for name in words[1:]))
    with pytest.raises(InputError, match="earlier snapshot"):
        call("--from", str(folder / "check.json"), "--diff", str(folder / "run.json"))


def test_files_hold_no_names_unless_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/maryjane")
    run = small_run(model="/home/maryjane/models/x.gguf", why="hf_abcdefghijklmnopqrstuvwxyz was refused")
    (folder / "named.json").write_text(
        render(compose(titan_subject(validation=Validation(runs=(run,))), HEADER), "json")
    )
    named, source = folder / "out.md", str(folder / "named.json")
    call("--from", source, "-o", str(named))
    assert "maryjane" not in named.read_text()
    assert "hf_abc" not in named.read_text()
    assert "\\~/models/x.gguf" in named.read_text()
    assert "maryjane" not in call("--from", source, "--redact").output
    assert "maryjane" in call("--from", source).output
    call("--from", source, "--no-redact", "-o", str(named))
    assert "maryjane" in named.read_text()


def test_several_files_are_merged(folder: Path) -> None:
    text = call("--from", str(folder / "report.json"), str(folder / "check.json")).output
    assert "Of 2 machines" in text


def test_changes_come_after_the_overview(folder: Path) -> None:
    text = call("--from", str(folder / "report.json"), "--diff", str(folder / "check.json")).output
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[1].startswith("## Changes")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.json", b"", "empty"),
        ("binary.json", b"\xff\xfe\x00", "not UTF-8"),
        ("cut.json", b'{"kind": "report", "schema', "not complete JSON"),
        ("list.json", b"[1, 2]", "no result of envcheck"),
        ("old.json", b'{"kind": "report", "schema_version": "0"}', "version '0'"),
        ("odd.json", b'{"kind": "report", "schema_version": "1"}', "no valid report"),
        ("deep.json", b"[" * 100_000, "JSON"),
        ("other.json", b'{"a": 1}', "no snapshot"),
    ],
)
def test_bad_files_are_named_in_one_sentence(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as found:
        call("--from", str(tmp_path / name))
    assert name in str(found.value)
    assert "\n" not in str(found.value)


def test_missing_files_folders_and_unwritable_places(folder: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.json"):
        call("--from", str(folder / "nothing.json"))
    with pytest.raises(InputError, match="Cannot write"):
        call("--from", str(folder / "report.json"), "-o", str(folder / "no" / "such.md"))
    with pytest.raises(InputError, match="template folder"):
        call("--from", str(folder / "report.json"), "--template", str(folder / "none"))


def test_a_template_of_ones_own_is_used_and_its_faults_are_named(folder: Path) -> None:
    own = folder / "own"
    own.mkdir()
    (own / "report.md.j2").write_text("{{ report.header.agent }}: {{ report.outcome.environment_status }}\n")
    text = call("--from", str(folder / "report.json"), "--template", str(own), "--agent", "*me*").output
    assert text == "\\*me\\*: READY, NOT PROVED\n"
    for source, says in (("{{ report.nonsense }}", "nonsense"), ("{% for %}", r"report\.md\.j2 line 1")):
        (own / "report.md.j2").write_text(source)
        with pytest.raises(InputError, match=says):
            call("--from", str(folder / "report.json"), "--template", str(own))
