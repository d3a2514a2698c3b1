"""The console: fits any terminal, says everything in words, lets no byte of the data act."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.compose.checked import check_document
from envcheck.formats import render
from envcheck.formats._text import width_of
from envcheck.schema.format import Style
from envcheck.schema.report import CheckDocument
from envcheck.schema.verdict import BackendState, Judgement
from tests.compose.fixtures import cpu_box, titan_fits, titan_judgement, titan_v

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def document() -> CheckDocument:
    """The document about the TITAN V machine."""
    return check_document(titan_v(), titan_judgement(), titan_fits())


@pytest.mark.parametrize("width", [20, 40, 64, 80, 200])
def test_no_line_but_a_command_is_wider_than_the_terminal(document: CheckDocument, width: int) -> None:
    for line in render(document, "console", Style(width=width)).splitlines():
        assert width_of(line) <= width or line.startswith("  $ ")


def test_a_person_finds_machine_states_reasons_and_the_first_thing_to_do(document: CheckDocument) -> None:
    text = render(document, "console", Style(width=120))
    assert text.startswith("NVIDIA TITAN V, 12 GiB")
    assert re.search(r"^✘ vllm +blocked +Compute capability 7\.0", text, re.MULTILINE)
    assert re.search(r"^✔ llama\.cpp +ready", text, re.MULTILINE)
    assert "first broken link: device (vllm.gpu.compute_capability)" in text
    assert "Do first: Prove with real prompts what is ready (llama.cpp)." in text
    assert "3 not met" in text


def test_colour_only_adds_escapes(document: CheckDocument) -> None:
    plain = render(document, "console", Style(width=90))
    assert "\x1b" not in plain
    assert ESCAPE.sub("", render(document, "console", Style(width=90, colour=True))) == plain


def test_ascii_streams_get_ascii(document: CheckDocument) -> None:
    assert render(document, "console", Style(unicode=False)).isascii()


def test_a_machine_without_gpu_says_so() -> None:
    judgement = Judgement(worst="met", backends={}, verdicts=())
    text = render(check_document(cpu_box(), judgement), "console", Style(width=100))
    assert text.startswith("no GPU · AMD EPYC 9354P, 2 cores")
    assert "Nothing needs doing first." in text


HOSTILE = st.text(alphabet=st.characters(), max_size=60) | st.sampled_from(
    ["\x1b[2J\x1b]0;owned\x07", "a\nb\rc", "\u202eevil", "x" * 300, "|`<script>"]
)


@given(why=HOSTILE, name=HOSTILE, width=st.integers(1, 120))
@settings(max_examples=150, deadline=None)
def test_nothing_in_the_data_acts_on_the_terminal(why: str, name: str, width: int) -> None:
    judgement = Judgement(worst="not_met", backends={name: BackendState(status="blocked", why=why)}, verdicts=())
    text = render(check_document(cpu_box(), judgement), "console", Style(width=width))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_rows_of_the_fit_matrix_are_never_confused(document: CheckDocument) -> None:
    text = render(document, "console", Style(width=100))
    rows: dict[str, Any] = {line.split()[0]: line for line in text.splitlines() if re.match(r"\d+B ", line)}
    assert list(rows) == ["3B", "7B", "13B", "30B"]
    assert "tight 9.7 GiB" in rows["13B"]
    assert "✘ 27 GiB" in rows["13B"]
