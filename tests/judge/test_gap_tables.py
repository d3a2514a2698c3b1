"""The tables of what is missing: every row has its source and date, says something, and is read by its rule."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from envcheck.hardware import find
from envcheck.judge.rows import load
from envcheck.judge.rules._old_cpus import lacks
from envcheck.schema.cause import Images
from envcheck.schema.gaps import GpuFeatures, KernelGaps, OldCpus
from envcheck.schema.pins import Toolkits

ROWS: list[Any] = [
    *load("images", Images).image,
    *load("kernel_gaps", KernelGaps).gap,
    *load("kernel_gaps", KernelGaps).extension,
    *load("kernel_gaps", KernelGaps).ptx,
    *load("cpu_features", OldCpus).cpu,
    *load("gpu_features", GpuFeatures).shared_memory,
    *load("gpu_features", GpuFeatures).pcie_only,
    *load("gpu_features", GpuFeatures).rocm_capability,
    *load("gpu_features", GpuFeatures).integrated,
    *load("toolkits", Toolkits).triton,
    *load("toolkits", Toolkits).source_build,
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


@pytest.mark.parametrize("row", load("gpu_features", GpuFeatures).integrated, ids=lambda row: row.gpu)
def test_graphics_of_processors_are_products_of_the_hardware_table(row: Any) -> None:
    product = find(row.gpu)
    if row.gfx:
        assert product is None
    else:
        assert product is not None
        assert product.kind == "integrated"
        assert product.gfx


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("AMD Ryzen AI Max+ 395 w/ Radeon 8060S", "AMD Radeon 8060S"),
        ("AMD Ryzen 7 PRO 7840U", "AMD Radeon 780M"),
        ("AMD Ryzen 9 8945HS", "AMD Radeon 780M"),
        ("AMD Ryzen 7 8845HS", "AMD Radeon 780M"),
        ("AMD Ryzen 5 8600G", "AMD Radeon 760M"),
        ("AMD Ryzen 7 6800H", "AMD Radeon 680M"),
        ("AMD Ryzen 7 5800H with Radeon Graphics", "AMD Radeon Vega (Renoir, Lucienne, Cezanne)"),
        ("AMD Ryzen 5 5600G", "AMD Radeon Vega (Renoir, Lucienne, Cezanne)"),
        ("AMD Ryzen 7 4700U", "AMD Radeon Vega (Renoir, Lucienne, Cezanne)"),
        ("AMD Ryzen 9 5900X", None),
        ("AMD Ryzen 5 5600", None),
        ("AMD Ryzen 9 7950X", None),
        ("AMD Ryzen 7 5800X", None),
        ("AMD Ryzen 9 7845HX", None),
    ],
)
def test_graphics_by_the_name_of_the_processor(name: str, gpu: str | None) -> None:
    rows = load("gpu_features", GpuFeatures).integrated
    assert next((row.gpu for row in rows if re.search(row.match, name, re.IGNORECASE)), None) == gpu


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", True),
        ("NVIDIA L40S", True),
        ("NVIDIA RTX 6000 Ada Generation", True),
        ("AMD Radeon RX 7900 XTX", True),
        ("NVIDIA H100 80GB HBM3", False),
        ("NVIDIA A100-SXM4-80GB", False),
        ("AMD Instinct MI300X", False),
        ("NVIDIA RTX A6000", False),
    ],
)
def test_cards_without_a_link(name: str, alone: bool) -> None:
    rows = load("gpu_features", GpuFeatures).pcie_only
    assert any(re.search(row.match, name, re.IGNORECASE) for row in rows) is alone
