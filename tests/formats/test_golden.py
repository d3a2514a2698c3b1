"""The example reports are what envcheck says today about those machines."""

from __future__ import annotations

import re

import pytest

from envcheck.formats import render
from envcheck.schema.report import Report
from tests.formats.golden import EXAMPLES, SPRINTS, SUFFIXES, report_of
from tests.formats.test_html import Page
from tests.formats.test_markdown import check_inert


@pytest.fixture(params=sorted(SPRINTS), scope="module")
def example(request: pytest.FixtureRequest) -> tuple[str, Report]:
    """One machine and its report."""
    return request.param, report_of(request.param)


@pytest.mark.parametrize("format_name", sorted(SUFFIXES))
def test_examples_are_up_to_date(example: tuple[str, Report], format_name: str) -> None:
    name, report = example
    shipped = (EXAMPLES / f"{name}{SUFFIXES[format_name]}").read_text(encoding="utf-8")
    assert shipped == render(report, format_name), "look at the difference, then run: python -m tests.formats.golden"


def test_examples_are_sound_documents(example: tuple[str, Report]) -> None:
    _, report = example
    check_inert(render(report, "markdown"))
    assert Page(render(report, "html")).open == []
    for section in report.sections:
        assert section.blocks, section.id
    assert '"text": ""' not in render(report, "json"), "no empty cell: a dash where there is nothing to say"


GPU_WORDS = re.compile(r"nvidia-smi|--gpus all|CUDA_VISIBLE_DEVICES|--tensor-parallel|-ngl [1-9]")


def test_a_machine_without_nvidia_gpus_gets_no_command_for_them() -> None:
    for name in ("cpu-box", "macbook-m3-max"):
        commands = [
            line
            for block in re.findall(r"```bash\n(.*?)```", render(report_of(name), "markdown"), re.DOTALL)
            for line in block.splitlines()
        ]
        assert commands
        allowed = "-ngl" if name == "macbook-m3-max" else ""
        for line in commands:
            found = GPU_WORDS.search(line)
            assert found is None or (allowed and found[0].startswith(allowed)), line


def test_claims_about_the_titan_v_come_out_true() -> None:
    text = render(report_of("wsl2-titan-v"), "markdown")
    builds = [line for line in text.splitlines() if re.match(r"\| 2\.\S* \| `cu13\d` ", line)]
    assert builds
    assert all(line.split("|")[6].strip() == "❌ no" for line in builds), "no CUDA 13 build runs on Volta"
    assert re.search(r"\| 2\.\S*2\.14 \| `cu126` \| ✅ yes \| ✅ yes \| ✅ yes \| ✅ yes \|", text)
    sizes = re.findall(r"\| (\S*13[bB]\S*) \| (\S+) \| `(\w+)` \| ([\d.]+) GiB \|.*?\| (✅|❌|⚠️)", text)
    sixteen = [row for row in sizes if row[2] in ("bf16", "fp16")]
    assert sixteen
    assert all(float(row[3]) > 24 and row[4] == "❌" for row in sixteen), "13B in 16 bit does not fit 12 GB"
