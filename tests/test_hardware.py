"""Names of GPUs as drivers, logs and people give them, and the row of the hardware table each must reach."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck import hardware
from envcheck.schema.errors import EnvcheckError

GIB = 1024

# name as given, memory in MiB if known, row, compute capability or gfx target
NAMES = [
    ("NVIDIA TITAN V", None, "NVIDIA TITAN V", "7.0"),
    ("TITAN V", 12 * GIB, "NVIDIA TITAN V", "7.0"),
    ("NVIDIA TITAN RTX", None, "NVIDIA TITAN RTX", "7.5"),
    ("GeForce GTX TITAN X", None, "NVIDIA GeForce GTX TITAN X", "5.2"),
    ("GeForce GTX TITAN", None, "NVIDIA GeForce GTX TITAN", "3.5"),
    ("NVIDIA GeForce RTX 5080", None, "NVIDIA GeForce RTX 5080", "12.0"),
    ("rtx5080", None, "NVIDIA GeForce RTX 5080", "12.0"),
    ("NVIDIA GeForce RTX 5080 Laptop GPU", None, "NVIDIA GeForce RTX 5080 Laptop GPU", "12.0"),
    ("NVIDIA GeForce RTX 5070 Ti", None, "NVIDIA GeForce RTX 5070 Ti", "12.0"),
    ("GTX1080Ti", None, "NVIDIA GeForce GTX 1080 Ti", "6.1"),
    ("GeForce GTX 1650 with Max-Q Design", None, "NVIDIA GeForce GTX 1650 with Max-Q Design", "7.5"),
    ("NVIDIA GeForce GTX 980 Ti", None, "NVIDIA GeForce GTX 980 Ti", "5.2"),
    ("rtx4070tisuper", None, "NVIDIA GeForce RTX 4070 Ti SUPER", "8.9"),
    ("4090", None, "NVIDIA GeForce RTX 4090", "8.9"),
    ("NVIDIA GeForce RTX 4090 D", None, "NVIDIA GeForce RTX 4090 D", "8.9"),
    ("RTX 3080 Laptop", None, "NVIDIA GeForce RTX 3080 Laptop GPU", "8.6"),
    ("NVIDIA GeForce RTX 3050 6GB Laptop GPU", 6 * GIB, "NVIDIA GeForce RTX 3050 6GB Laptop GPU", "8.6"),
    ("NVIDIA GeForce RTX 4070", 12282, "NVIDIA GeForce RTX 4070", "8.9"),
    ("NVIDIA H100 80GB HBM3", 81559, "NVIDIA H100 80GB HBM3", "9.0"),
    ("NVIDIA H100 PCIe", 81559, "NVIDIA H100 PCIe", "9.0"),
    ("H100", None, "NVIDIA H100 80GB HBM3", "9.0"),
    ("NVIDIA H100 NVL", None, "NVIDIA H100 NVL 94 GB", "9.0"),
    ("NVIDIA H200", 143771, "NVIDIA H200", "9.0"),
    ("NVIDIA GH200 480GB", 97871, "NVIDIA GH200 480GB", "9.0"),
    ("NVIDIA GB10", None, "NVIDIA GB10", "12.1"),
    ("NVIDIA B200", None, "NVIDIA B200", "10.0"),
    ("NVIDIA B300", None, "NVIDIA B300", "10.3"),
    ("NVIDIA Thor", None, "NVIDIA Jetson T5000", "11.0"),
    ("Orin", 62841, "NVIDIA Jetson AGX Orin 64 GB", "8.7"),
    ("NVIDIA Jetson AGX Orin 32GB", None, "NVIDIA Jetson AGX Orin 32 GB", "8.7"),
    ("NVIDIA A100-SXM4-40GB", 40960, "NVIDIA A100-SXM4-40GB", "8.0"),
    ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None, "NVIDIA A100-SXM4-40GB", "8.0"),
    ("NVIDIA A100 80GB PCIe", 81920, "NVIDIA A100 80GB PCIe", "8.0"),
    ("A100", None, "NVIDIA A100-SXM4-80GB", "8.0"),
    ("A100 PCIe 40GB", None, "NVIDIA A100-PCIE-40GB", "8.0"),
    ("Tesla V100-SXM2-32GB", 32510, "Tesla V100-SXM2-32GB", "7.0"),
    ("V100 32GB", None, "Tesla V100-SXM2-32GB", "7.0"),
    ("Tesla T4", None, "Tesla T4", "7.5"),
    ("NVIDIA L4", None, "NVIDIA L4", "8.9"),
    ("NVIDIA L40S-48Q", None, "NVIDIA L40S", "8.9"),
    ("Tesla K80", None, "Tesla K80", "3.7"),
    ("m40", None, "Tesla M40", "5.2"),
    ("NVIDIA RTX 6000 Ada Generation", None, "NVIDIA RTX 6000 Ada Generation", "8.9"),
    ("Quadro RTX 6000", None, "Quadro RTX 6000", "7.5"),
    ("NVIDIA RTX A6000", None, "NVIDIA RTX A6000", "8.6"),
    ("RTX PRO 6000", None, "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "12.0"),
    (
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        97887,
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        "12.0",
    ),
    ("NVIDIA Corporation GA102 [GeForce RTX 3090] (rev a1)", None, "NVIDIA GeForce RTX 3090", "8.6"),
    ("AMD Instinct MI300X", None, "AMD Instinct MI300X", "gfx942"),
    ("AMD Radeon RX 7900 XTX", None, "AMD Radeon RX 7900 XTX", "gfx1100"),
    ("AMD Radeon RX 7900 XT (RADV NAVI31)", None, "AMD Radeon RX 7900 XT", "gfx1100"),
    ("Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]", 20464, "AMD Radeon RX 7900 XT", "gfx1100"),
    ("RADV GFX1201", None, "AMD Radeon RX 9070 XT", "gfx1201"),
    ("AMD Radeon Graphics (RADV GFX1151)", None, "AMD Radeon 8060S", "gfx1151"),
    ("AMD Radeon PRO W7900", None, "AMD Radeon PRO W7900", "gfx1100"),
    ("Intel(R) Arc(TM) B580 Graphics", None, "Intel(R) Arc(TM) B580 Graphics", None),
    ("Apple M3 Max", None, "Apple M3 Max", None),
    ("Apple M4", None, "Apple M4", None),
    ("Apple M4 Max (40-core GPU)", None, "Apple M4 Max", None),
]

NOT_IN_THE_TABLE = [
    "",
    "NVIDIA",
    "RTX 9999",
    "NVIDIA GeForce RTX 5080 Ultra",
    "GeForce GTX 5",
    "Quadro M4 Max",
    "Apple M40",
    "NVIDIA M4 Max",
    "llvmpipe (LLVM 15.0.7, 256 bits)",
    "AMD Radeon Graphics",
    "Intel(R) Graphics",
    "Microsoft Basic Render Driver",
    "gfx9999",
]


@pytest.mark.parametrize(("name", "memory_mib", "row", "target"), NAMES)
def test_a_name_reaches_its_own_row(name: str, memory_mib: int | None, row: str, target: str | None) -> None:
    found = hardware.find(name, memory_mib)
    assert found is not None
    assert (found.name, found.compute_capability or found.gfx) == (row, target)


@pytest.mark.parametrize("name", NOT_IN_THE_TABLE)
def test_an_unknown_name_gives_nothing_rather_than_the_nearest(name: str) -> None:
    assert hardware.find(name) is None


@pytest.mark.parametrize(
    ("name", "memory_mib", "bandwidth_gbs"),
    [
        ("NVIDIA GeForce RTX 3080", 10240, 760.3),
        ("NVIDIA GeForce RTX 3080", 12288, 912.4),
        ("NVIDIA GeForce RTX 3080", 20480, 912.4),  # a modified card: the nearest product, as the name says no more
        ("NVIDIA GeForce RTX 3060", 12288, 360.0),
        ("NVIDIA GeForce RTX 3060", 8192, 240.0),
        ("NVIDIA GeForce RTX 5060", None, 448.0),
        ("AMD Radeon RX 9070 XT", None, 644.6),
        ("AMD Radeon RX 9070", None, 644.6),
        ("Apple M4 Max", None, 546.0),
        ("Apple M4 Max 32-core GPU", None, 410.0),
    ],
)
def test_memory_and_variant_decide_the_bandwidth(name: str, memory_mib: int | None, bandwidth_gbs: float) -> None:
    found = hardware.find(name, memory_mib)
    assert found is not None
    assert found.bandwidth_gbs == bandwidth_gbs


def test_every_row_is_found_by_its_own_name_and_says_where_it_is_from() -> None:
    for row in hardware.rows():
        found = hardware.find(row.name, row.memory_mib)
        assert found is not None, row.name
        assert (found.name, found.memory_mib) == (row.name, row.memory_mib)
        assert row.source.startswith("https://")
        date.fromisoformat(row.checked)


def test_the_table_holds_only_plausible_values() -> None:
    for row in hardware.rows():
        if row.vendor == "NVIDIA":
            assert re.fullmatch(r"\d{1,2}\.\d", row.compute_capability or ""), row.name
        assert row.bandwidth_gbs is None or 5 < row.bandwidth_gbs < 10_000, row.name
        assert row.fp16_matrix_tflops is None or 1 < row.fp16_matrix_tflops < 3_000, row.name
        assert row.gfx is None or row.gfx.startswith("gfx"), row.name


def test_a_row_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, rows = hardware._lines()
    broken = rows[0].replace(",discrete,", ",teapot,").replace(",soc,", ",teapot,")
    monkeypatch.setattr(hardware, "_lines", lambda: (columns, [broken]))
    hardware._row.cache_clear()
    with pytest.raises(EnvcheckError, match=r"hardware.csv line 2: .*kind"):
        hardware.rows()
    hardware._row.cache_clear()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.none() | st.integers(min_value=0, max_value=10**7))
def test_any_text_is_answered(name: str, memory_mib: int | None) -> None:
    found = hardware.find(name, memory_mib)
    assert found is None or found.name


@pytest.mark.parametrize(
    ("name", "memory_gib"),
    [("Tesla V100-SXM2", 32), ("Tesla V100-SXM2-16GB", 16), ("NVIDIA GeForce RTX 3060", 12), ("RTX 4090", 24)],
)
def test_a_bare_name_means_at_most_its_largest_version(name: str, memory_gib: int) -> None:
    assert hardware.most_memory_mib(name) == memory_gib * GIB


def test_an_unknown_name_has_no_memory() -> None:
    assert hardware.most_memory_mib("some accelerator") is None
