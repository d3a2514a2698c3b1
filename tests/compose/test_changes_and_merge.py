"""Several machines in one report, and one machine at two times."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from envcheck.compose.changes import changes, changes_section, speed_ratio
from envcheck.compose.merged import merge
from envcheck.compose.statistics import half_width, repeats_for
from envcheck.formats import render
from envcheck.schema.blocks import Fold, Note, Table
from envcheck.schema.facts import Unknown
from envcheck.schema.run import PromptRun, Run, Validation
from envcheck.schema.snapshot import Package
from envcheck.schema.verdict import BackendState
from tests.compose.fixtures import HEADER, cpu_box, known, small_run, titan_judgement, titan_subject, titan_v


def speeds(*values: float) -> Run:
    """A run whose prompts had these decode speeds."""
    prompts = tuple(
        PromptRun(id=f"p{i}", kind="x", passed=True, answer="right", decode_tps=value) for i, value in enumerate(values)
    )
    return small_run(prompts=prompts)


def test_nothing_changed_is_said() -> None:
    section = changes_section(titan_subject(), titan_subject(), "Friday")
    assert list(changes(titan_subject(), titan_subject())) == []
    assert section.title == "Changes since Friday"
    assert "Nothing that matters changed." in str(section.blocks)


def test_what_came_along_is_folded_behind_what_tells() -> None:
    there = {"pip": "24.0", "torch": "2.14", "tqdm": "4"}
    packages = tuple(Package(name=name, version=version) for name, version in there.items())
    python = msgspec.structs.replace(titan_v().python, packages=known(packages))
    section = changes_section(titan_subject(), titan_subject(snapshot=titan_v(python=python)), "")
    note, shown, folded = section.blocks
    assert isinstance(note, Note)
    assert note.text == "2 changes: 2 packages."
    assert isinstance(shown, Table)
    assert [cells[0].text for cells in shown.rows] == ["package torch"]
    assert isinstance(folded, Fold)
    assert folded.title == "1 change that came along"


def test_driver_packages_states_and_verdicts_are_compared() -> None:
    machine = titan_v()
    after: Any = msgspec.structs.replace(
        machine,
        nvidia=msgspec.structs.replace(machine.nvidia, driver=known("580.97")),
        python=msgspec.structs.replace(
            machine.python,
            packages=known((Package(name="pip", version="26.3"), Package(name="torch", version="2.14.1+cu126"))),
        ),
    )
    judgement = titan_judgement()
    verdicts = tuple(
        msgspec.structs.replace(v, status="met") if v.id == "transformers.torch" else v for v in judgement.verdicts
    )
    backends = {**judgement.backends, "transformers": BackendState(status="ready", why="Everything is there.")}
    later = msgspec.structs.replace(judgement, verdicts=verdicts, backends=backends)
    found = {
        c.what: (c.before, c.after, c.mark)
        for c in changes(titan_subject(), titan_subject(snapshot=after, judgement=later))
    }
    assert found["GPU driver"][1].startswith("NVIDIA 580.97")
    assert found["package pip"] == ("24.0", "26.3", "caution")
    assert found["package torch"][:2] == ("not installed", "2.14.1+cu126")
    assert found["Transformers"] == ("ready after install", "ready", "good")
    assert found["transformers.torch"] == ("not met", "met", "good")
    assert len(found) == 5


def test_variables_are_compared_and_what_nobody_read_is_said() -> None:
    def with_environment(fact: Any) -> Any:
        return titan_subject(snapshot=msgspec.structs.replace(titan_v(), environment=fact))

    one, two = with_environment(known({"A": "1", "B": "2"})), with_environment(known({"B": "3"}))
    found = [(c.what, c.before, c.after) for c in changes(one, two)]
    assert found == [("variable A", "1", "not set"), ("variable B", "2", "3")]
    unread = with_environment(Unknown(why="not asked"))
    assert [(c.what, c.after) for c in changes(one, unread)] == [("environment variables", "not read")]
    assert list(changes(unread, unread)) == []


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [
        ((100, 110, 120, 130), (50, 55, 60, 65), 0.5),
        ((100, 110, 120, 130), (101, 109, 121, 129), None),
        ((100, 110), (50, 55), None),
        ((100, 100, 100), (100, 100, 100), None),
    ],
)
def test_speed_counts_only_beyond_noise(
    before: tuple[float, ...], after: tuple[float, ...], ratio: float | None
) -> None:
    found = speed_ratio(speeds(*before), speeds(*after))
    assert found == (None if ratio is None else pytest.approx(ratio))


def test_a_slower_run_is_a_change() -> None:
    old = titan_subject(validation=Validation(runs=(speeds(100, 110, 120, 130),)))
    new = titan_subject(validation=Validation(runs=(speeds(50, 56, 60, 65),)))
    (change,) = changes(old, new)
    assert change.mark == "bad"
    assert "(-50 %)" in change.after


def test_machines_are_merged_with_their_own_names() -> None:
    other = titan_subject(snapshot=cpu_box(), fits=(), validation=None)
    report = merge([titan_subject(), titan_subject(), other], HEADER)
    aliases = [subject.snapshot.alias for subject in report.subjects]
    assert aliases == ["titan-v-wsl2-1", "titan-v-wsl2-2", "epyc-2c-24g"]
    text = render(report, "markdown")
    for alias in aliases:
        assert text.count(f"`{alias}`") >= 2
    assert "On titan-v-wsl2-1, titan-v-wsl2-2 and epyc-2c-24g." in text
    for name in ("json", "csv", "junit", "sarif", "github", "prometheus", "intoto", "console"):
        assert render(report, name)


def test_repeats_follow_from_the_wanted_interval() -> None:
    assert repeats_for(0.05, 0.05) == 7
    assert half_width(7, 0.05) <= 0.05 < half_width(6, 0.05)
    assert repeats_for(0.001, 0.05) == 31
