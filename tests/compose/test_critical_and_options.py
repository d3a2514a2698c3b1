"""What a project demands, and the ways to run a model side by side, on the example of the RTX 5080 workstation."""

from __future__ import annotations

import pytest

from envcheck.schema.blocks import Part, Table
from envcheck.schema.report import Report
from tests.formats.golden import report_of


@pytest.fixture(scope="module")
def report() -> Report:
    """The report with its policy."""
    return report_of("rtx-5080-workstation")


def tables_of(report: Report, section: str) -> dict[str, Table]:
    """The tables of a section by caption."""
    blocks = next(s.blocks for s in report.sections if s.id == section)
    flat = [inner for block in blocks for inner in (block.blocks if isinstance(block, Part) else (block,))]
    return {block.caption: block for block in flat if isinstance(block, Table)}


def test_variables_that_no_longer_act_are_named(report: Report) -> None:
    rows = {row[0].text: row for row in tables_of(report, "critical")["What the project demands"].rows}
    assert "no effect from vLLM 0.15" in rows["VLLM_ATTENTION_BACKEND"][4].text
    assert rows["Pin of torch"][3].text == "met"
    assert rows["Ban of xformers"][3].text == "met"


def test_the_pin_is_what_is_planned(report: Report) -> None:
    plan = report.subjects[0].plan
    assert plan is not None
    assert plan.decision.torch == "2.7.0"
    assert any("torch==2.7.0" in step.argv for step in plan.steps)


def test_headroom_is_left_of_the_card_not_of_a_backends_share(report: Report) -> None:
    rows = tables_of(report, "critical")["Headroom per model"].rows
    left = {(row[0].text, row[1].text): (row[3].sort or 0.0, row[4].mark) for row in rows}
    for mib, mark in left.values():
        assert (mark == "bad") == (mib < 2048)
    assert left[("Llama-3.2-3B-Instruct", "vLLM")][0] > 0


def test_memory_grows_with_context_and_with_requests(report: Report) -> None:
    subject = report.subjects[0]
    for name in {fit.backend for fit in subject.curves}:
        totals = [fit.memory_mib.total for fit in subject.curves if fit.backend == name and fit.memory_mib]
        assert totals == sorted(totals)
    assert {item.name for item in subject.presets} == {"balanced", "performance", "memory_optimized"}
    assert all(fit.concurrency == 3 for fit in subject.parallel)
    assert "Backends compared" in tables_of(report, "options")


def test_without_a_policy_there_is_no_section_about_it() -> None:
    assert all(section.id != "critical" for section in report_of("cpu-box").sections)
