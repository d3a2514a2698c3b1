"""Repeats against predictions, what was accepted, what is only open, and help for the findings alone."""

from __future__ import annotations

import msgspec
import pytest

from envcheck.compose.acceptance import acceptance_section
from envcheck.compose.locality import is_loopback, local_only_section
from envcheck.compose.models import models_section
from envcheck.compose.repeats import grouped, reading, repeats_part
from envcheck.compose.troubleshooting import help_for, troubleshooting_section
from envcheck.schema.blocks import Part, Section, Table
from envcheck.schema.report import Subject
from envcheck.schema.run import LoadCycle, Reconciled, Run, Validation
from envcheck.schema.verdict import Judgement
from tests.compose.fixtures import cpu_box, fit_row, small_run, titan_judgement, titan_subject, titan_v, verdict


def table_of(section: Section | Part | None, position: int = 0) -> dict[str, list[str]]:
    """First column to the rest of the row, of one of the tables directly in a section."""
    assert section is not None
    tables = [block for block in section.blocks if isinstance(block, Table)]
    return {cells[0].text: [cell.text for cell in cells[1:]] for cells in tables[position].rows}


@pytest.mark.parametrize(
    ("mean", "width", "band", "said"),
    [
        (50.0, 0.5, (40.0, 60.0), "confirmed"),
        (40.0, 0.0, (40.0, 60.0), "confirmed"),
        (39.0, 0.05, (40.0, 60.0), "undecided"),
        (38.0, 0.05, (40.0, 60.0), "refuted"),
        (64.0, 0.05, (40.0, 60.0), "refuted"),
        (62.0, 0.05, (40.0, 60.0), "undecided"),
        (62.0, 0.05, (None, 60.0), "no prediction"),
    ],
)
def test_a_mean_refutes_only_with_its_whole_interval(
    mean: float, width: float, band: tuple[float | None, float | None], said: str
) -> None:
    assert reading(mean, width, *band) == said


def repeated(values: list[float], **changes: object) -> list[Run]:
    """Runs of one engine and model that measured these decode speeds."""
    item = Reconciled(quantity="decode speed", unit="tokens/s", predicted=50, predicted_low=40, predicted_high=60)
    fields = {"is_fallback": False, "backend": "llama.cpp", "model": "m", "status": "passed", **changes}
    return [small_run(**fields, reconciled=(msgspec.structs.replace(item, measured=value),)) for value in values]


def test_repeats_are_one_row_with_their_mean() -> None:
    part = repeats_part(grouped([*repeated([44.0, 46.0, 45.0]), small_run()]))
    row = table_of(part)["decode speed, tokens/s"]
    assert row[:3] == ["llama.cpp, m", "3", "45.0"]
    assert row[4:] == ["40.0–60.0", "confirmed"]
    assert repeats_part(grouped(repeated([44.0]))) is None


def test_nothing_is_accepted_that_was_not_measured() -> None:
    rows = table_of(acceptance_section(titan_subject(validation=None)))
    assert {row[0] for name, row in rows.items() if name != "A backend meets every requirement"} == {"open"}
    assert rows["A backend meets every requirement"][0] == "done"
    fallback = table_of(acceptance_section(titan_subject()))
    assert fallback["A backend of the machine answers real prompts"][0] == "open", "the embedded default proves nothing"


def test_what_was_measured_is_accepted_or_not() -> None:
    good = table_of(acceptance_section(titan_subject(validation=Validation(runs=tuple(repeated([50.0]))))))
    assert good["A backend of the machine answers real prompts"][0] == "done"
    assert good["Decode speed as predicted"][0] == "done"
    assert good["Memory as predicted"][0] == "open"
    slow = table_of(acceptance_section(titan_subject(validation=Validation(runs=tuple(repeated([5.0]))))))
    assert slow["Decode speed as predicted"][0] == "not met"
    runs = tuple(repeated([50.0], device_expected="cuda:0", device_used="cpu"))
    assert (
        table_of(acceptance_section(titan_subject(validation=Validation(runs=runs))))[
            "Its layers run on the expected device"
        ][0]
        == "not met"
    )


def test_load_and_switch_times_are_only_those_that_were_measured() -> None:
    subject = titan_subject(fits=(fit_row("7B"),), validation=None)
    section = models_section(subject)
    assert section is not None
    assert len([block for block in section.blocks if isinstance(block, Table)]) == 1
    cycles = (LoadCycle(load_ms=620.0, unload_ms=20.0), LoadCycle(load_ms=520.0, unload_ms=28.0))
    timed = models_section(
        titan_subject(fits=(fit_row("7B"),), validation=Validation(runs=(small_run(cycles=cycles),)))
    )
    assert table_of(timed, 1)["SmolLM2-135M-Instruct"] == ["embedded default", "0.52", "0.02", "0.54", "3"]


def test_troubleshooting_is_about_the_findings_only() -> None:
    assert (
        troubleshooting_section(Subject(snapshot=cpu_box(), judgement=Judgement(worst="met", backends={}, verdicts=())))
        is None
    )
    found = verdict("vllm.driver.cuda", "not_met", cause="driver_too_old", title="CUDA driver")
    judgement = msgspec.structs.replace(titan_judgement(), verdicts=(found,))
    rows = table_of(troubleshooting_section(Subject(snapshot=titan_v(), judgement=judgement)))
    assert list(rows) == ["CUDA driver"]


def test_a_log_is_searched_for_words_that_are_printed_there() -> None:
    fit = fit_row(status="no", total=99999.0)
    judgement = titan_judgement()
    sign = table_of(troubleshooting_section(Subject(snapshot=titan_v(), judgement=judgement, fits=(fit,))))[
        "Models that do not fit"
    ][1]
    assert "cuda" in sign
    on_cpu = table_of(troubleshooting_section(Subject(snapshot=cpu_box(), judgement=judgement, fits=(fit,))))
    assert "cuda" not in on_cpu["Models that do not fit"][1]


def test_causes_have_help_and_other_words_do_not() -> None:
    known = help_for("driver_too_old")
    assert known is not None
    assert known.sources
    assert help_for("../driver_too_old") is None
    assert help_for("no_such_cause") is None


def test_the_local_only_statement_counts_what_was_sent() -> None:
    section = local_only_section(titan_subject(validation=Validation(runs=(small_run(url="http://127.0.0.1:9/v1"),))))
    assert table_of(section)["embedded default"] == ["SmolLM2-135M-Instruct", "127.0.0.1", "3"]
    assert not is_loopback("http://127.0.0.1.evil.example/")
    assert is_loopback("http://[::1]:80/")
