"""Whatever the evidence, `parse` gives a record that can be written as JSON and read back equal."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck import discover
from envcheck.schema.snapshot import Snapshot
from tests.probes.hostile import damaged, seeds

SECTIONS = discover.names("envcheck.probes")
TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Snapshot)}

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def survives(section: str, evidence: Any) -> None:
    reading = discover.load("envcheck.probes", section, "PROBE").parse(evidence)
    written = msgspec.json.encode(reading)
    assert msgspec.json.decode(written, type=TYPES[section]) == reading


@pytest.mark.parametrize("section", SECTIONS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damaged_evidence(section: str, seed: int) -> None:
    random = Random(seed)
    survives(section, damaged(random.choice(seeds()[section]), random))


@pytest.mark.parametrize("section", SECTIONS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_arbitrary_values_under_the_right_keys(section: str, data: st.DataObject) -> None:
    keys = sorted({key for evidence in seeds()[section] for key in evidence})
    survives(section, data.draw(st.dictionaries(st.sampled_from([*keys, "x"]), json_values, max_size=6)))


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("evidence", [{}, {"x": 1}, [], None, "text", 3.5])
def test_no_evidence(section: str, evidence: Any) -> None:
    survives(section, evidence)
