"""GPUs that only `lspci` or a sentence names."""

from __future__ import annotations

import pytest

from envcheck.importers import import_paste
from envcheck.schema.facts import Known, value_of
from envcheck.schema.paste import NAMED, Paste


def names(text: str) -> list[str]:
    gpus = import_paste(Paste(text)).snapshot.gpus
    return [str(value_of(gpu.name)) for gpu in gpus.value] if isinstance(gpus, Known) else []


def counted(text: str) -> bool:
    gpus = import_paste(Paste(text)).snapshot.gpus
    return isinstance(gpus, Known) and NAMED not in gpus.source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("our gpu V100 32G", ["V100 32GB"]),
        ("it runs on 2x A100-80GB here", ["A100 80GB"] * 2),
        ("8*H20 96G", ["H20 96GB"] * 8),
        ("nvidia 3090 24GB", ["nvidia 3090 24GB"]),
        ("works on A100 and not on V100", []),
        ("I have an RX 580 here", ["RX 580"]),
        ("amd instinct mi50 (gfx906)", ["amd instinct mi50"]),
        ("RX6700", ["RX6700"]),
        ("section a10 of the log, step 4090 of 5000", []),
        ("GPU: ASUS TUF Gaming GeForce RTX 4070 Ti SUPER OC", ["GeForce RTX 4070 Ti SUPER"]),
        (
            "01:00.0 VGA compatible controller: NVIDIA Corporation GA102 [GeForce RTX 3090] (rev a1)",
            ["NVIDIA GeForce RTX 3090"],
        ),
        (
            "00:02.0 VGA compatible controller: Intel Corporation UHD Graphics 630\n"
            "03:00.0 3D controller [0302]: NVIDIA Corporation GV100GL [Tesla V100 PCIe 32GB] [10de:1db6] (rev a1)",
            ["Tesla V100-PCIE-32GB"],
        ),
        ("00:02.0 VGA compatible controller: Red Hat, Inc. QXL paravirtual graphic card (rev 04)", []),
        ("GPU type: A40\nGPU count: 3", ["A40"] * 3),
        ("GPU3090\uff0c", ["3090"]),
        ("3 GPUs (3x3090)", ["3090"] * 3),
        ("port 3090, 2080 tokens, GPU 4080MiB used", []),
    ],
)
def test_names(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_a_name_is_no_count() -> None:
    assert not counted("GPU: RTX 3090")
    assert counted("GPU: 2x RTX 3090")
    assert counted("GPU type: A40\nNumber of GPUs: 2")


def test_what_a_driver_lists_comes_first() -> None:
    text = (
        "01:00.0 VGA compatible controller: NVIDIA Corporation GA102 [GeForce RTX 3090] (rev a1)\n"
        "GPU 0: NVIDIA GeForce RTX 3090 (UUID: GPU-0)\nsomebody else has an A100 80GB"
    )
    assert names(text) == ["NVIDIA GeForce RTX 3090"]


@pytest.mark.parametrize("text", ["I have an RX 580 here", "GPU: RX 6700 XT", "2x MI50"])
def test_the_table_knows_the_maker(text: str) -> None:
    gpus = import_paste(Paste(text)).snapshot.amd.gpus
    assert isinstance(gpus, Known)
    assert gpus.value[0].vendor == "amd"
