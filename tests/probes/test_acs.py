"""Access Control Services: capabilities written as hardware has them, and what may not be read."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.probes import _acs, _pci
from envcheck.schema.facts import Absent, Known, Unknown
from tests.probes.machine_tree import host, write


def config(control: int | None, at: int = 0x140) -> bytes:
    """A configuration space whose second capability is ACS with this control register (None: another capability)."""
    space = bytearray(4096)
    struct.pack_into("<I", space, 0x100, 0x0001 | 2 << 16 | at << 20)
    struct.pack_into("<I", space, at, (0x000D if control is not None else 0x0003) | 1 << 16)
    struct.pack_into("<HH", space, at + 4, 0x1F, control or 0)
    return bytes(space)


def tree(root: Path, bridges: list[bytes], displays: int = 2) -> Path:
    files: dict[str, str | bytes] = {}
    for n, content in enumerate(bridges):
        files |= {f"{_pci.BUS}/0000:{n:02x}:00.0/class": "0x060400\n", f"{_pci.BUS}/0000:{n:02x}:00.0/config": content}
    for n in range(displays):
        files[f"{_pci.BUS}/0000:{n + 64:02x}:00.0/class"] = "0x030200\n"
    write(root, files)
    return root


@pytest.mark.parametrize(
    ("bridges", "reading"),
    [
        ([config(0x1D), config(0), config(None)], Known(value="on: 1 of 3 bridges", source=_acs._SOURCE)),
        ([config(0x01), config(0)], Known(value="off", source=_acs._SOURCE)),
        ([config(None)], Absent(source=_acs._SOURCE)),
        (
            [config(0)[:64], config(0)],
            Unknown(why="only root may read the configuration space of 1 PCI bridges"),
        ),
        ([config(0x1D), config(0)[:64]], Known(value="on: 1 of 2 bridges", source=_acs._SOURCE)),
    ],
)
def test_bridges(tmp_path: Path, bridges: list[bytes], reading: Known[str] | Absent | Unknown) -> None:
    assert _acs.parse(_acs.collect(host(tree(tmp_path, bridges)))) == reading


def test_one_gpu_talks_to_nobody(tmp_path: Path) -> None:
    assert isinstance(_acs.parse(_acs.collect(host(tree(tmp_path, [config(0x1D)], displays=1)))), Absent)


def test_older_snapshots_do_not_say() -> None:
    assert isinstance(_acs.parse(None), Unknown)


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=4200), at=st.integers(0, 4095), link=st.integers(0, 2**32 - 1))
def test_no_configuration_space_hangs_or_raises(content: bytes, at: int, link: int) -> None:
    space = bytearray(content.ljust(4096, b"\0"))
    struct.pack_into("<I", space, 0x100, link)
    if at <= 4092:
        struct.pack_into("<I", space, at, link)
    assert _acs.control_register(bytes(space)) is None or _acs.control_register(bytes(space)) in range(65536)
