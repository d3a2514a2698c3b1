"""Hypothetical machines: what is stated is known, what the table adds says so, the rest is unknown."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.importers import assume
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Absent, Known, Unknown, value_of
from envcheck.schema.snapshot import Snapshot

MACHINES = Path(__file__).resolve().parent.parent / "machines"


def snapshot(text: str) -> Snapshot:
    return assume.to_snapshot(assume.read(text, "machine.toml"))


@pytest.mark.parametrize("path", sorted(MACHINES.glob("*.toml")), ids=lambda p: p.stem)
def test_every_machine_file_is_read(path: Path) -> None:
    assert snapshot(path.read_text()).origin == "assumed"


def test_nothing_stated_means_everything_unknown() -> None:
    empty = snapshot("{}")
    assert isinstance(empty.gpus, Unknown)
    assert isinstance(empty.python.packages, Unknown)
    assert isinstance(empty.os.family, Unknown)


def test_an_empty_list_means_none() -> None:
    bare = snapshot("gpus = []\npackages = {}\nenv = {}")
    assert isinstance(bare.gpus, Absent)
    assert isinstance(bare.nvidia.driver, Absent)
    assert isinstance(bare.python.package("torch"), Absent)
    assert isinstance(bare.variable("CUDA_VISIBLE_DEVICES"), Absent)


@pytest.mark.parametrize(
    ("gpu", "vendor", "memory_mib", "capability"),
    [
        ('{name = "NVIDIA TITAN V"}', "nvidia", 12288, "7.0"),
        ('{name = "RTX 3080", memory_gib = 12}', "nvidia", 12288, "8.6"),
        ('{name = "Mystery 1", compute_capability = "9.9"}', "nvidia", None, "9.9"),
        ('{name = "Mystery 2", gfx = "gfx1100"}', "amd", None, None),
    ],
)
def test_gpus_are_completed_from_the_hardware_table(
    gpu: str, vendor: str, memory_mib: int | None, capability: str | None
) -> None:
    found = snapshot(f"gpus = [{gpu}]").gpus
    assert isinstance(found, Known)
    assert found.value[0].vendor == vendor
    assert value_of(found.value[0].memory_total_mib) == memory_mib
    assert value_of(found.value[0].compute_capability) == capability


def test_looked_up_figures_name_the_table() -> None:
    found = snapshot('gpus = [{name = "NVIDIA TITAN V"}]').gpus
    assert isinstance(found, Known)
    capability = found.value[0].compute_capability
    assert isinstance(capability, Known)
    assert capability.source.startswith("hardware table (http")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("gpu = []", "gpu"),
        ("cores = 'many'", "cores"),
        ("os = 'beos'", "os"),
        ("this is not toml", "neither TOML nor JSON"),
        ('{"python": 3.10}', "python"),
        ("[" * 5000, "neither"),
        ('{"a":' * 5000, "neither"),
        ('gpus = [{name = "flux capacitor"}]', "hardware table"),
        ("gpus = [{memory_gib = 12}]", "name"),
    ],
)
def test_bad_files_get_one_sentence(text: str, word: str) -> None:
    with pytest.raises(InputError, match=word) as caught:
        snapshot(text)
    assert "\n" not in str(caught.value).strip()


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        snapshot(text)


@given(st.dictionaries(st.sampled_from(["torch", "Flash_Attn", "numpy"]), st.text(max_size=8)))
@settings(max_examples=50, deadline=None)
def test_json_and_package_names(packages: dict[str, str]) -> None:
    found = snapshot(json.dumps({"packages": packages})).python.packages
    assert isinstance(found, Known)
    assert all(p.name == p.name.lower() and "_" not in p.name for p in found.value)
