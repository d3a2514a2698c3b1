"""The tables of what is missing: every row has its source and date, says something, and is read by its rule."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from envcheck.judge.rows import load
from envcheck.judge.rules._old_cpus import lacks
from envcheck.schema.cause import Images
from envcheck.schema.gaps import KernelGaps, OldCpus

ROWS: list[Any] = [
    *load("images", Images).image,
    *load("kernel_gaps", KernelGaps).gap,
    *load("kernel_gaps", KernelGaps).extension,
    *load("cpu_features", OldCpus).cpu,
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{type(row).__name__} {row.source[-40:]}")
def test_every_row_has_a_source_and_a_date(row: Any) -> None:
    assert row.source.startswith("https://")
    assert date.fromisoformat(row.checked) <= date(2026, 11, 21)


@pytest.mark.parametrize("row", load("cpu_features", OldCpus).cpu)
def test_patterns_compile_and_do_not_match_everything(row: Any) -> None:
    pattern = re.compile(row.match, re.IGNORECASE)
    assert not pattern.search("")
    assert not pattern.search("AMD EPYC 9654 96-Core Processor")


def test_no_gap_is_stated_twice() -> None:
    keys = [(row.backend, row.method, row.device) for row in load("kernel_gaps", KernelGaps).gap]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Intel(R) Xeon(R) CPU           X5660  @ 2.80GHz", "AVX"),
        ("Intel(R) Core(TM) i7 CPU         920  @ 2.67GHz", "AVX"),
        ("Intel(R) Celeron(R) CPU G3930 @ 2.90GHz", "AVX"),
        ("AMD Phenom(tm) II X4 955 Processor", "AVX"),
        ("Intel(R) Core(TM) i7-3770 CPU @ 3.40GHz", "AVX2"),
        ("Intel(R) Xeon(R) CPU E5-2690 v2 @ 3.00GHz", "AVX2"),
        ("AMD FX(tm)-8350 Eight-Core Processor", "AVX2"),
        ("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", None),
        ("Intel(R) Core(TM) i7-9700K CPU @ 3.60GHz", None),
        ("AMD Ryzen 5 5600X 6-Core Processor", None),
        ("Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz", None),
    ],
)
def test_instruction_sets_by_name(name: str, expected: str | None) -> None:
    assert lacks(name) == expected
