"""What releases ask of the packages around them: the tables' consistency and the lookup between two rows."""

from __future__ import annotations

from itertools import pairwise

import pytest

from envcheck.judge import versions
from envcheck.judge.rows import load
from envcheck.judge.rules._pins import neighbours
from envcheck.schema.pins import Binaries, Pins, PinTable

ROWS = load("pins", PinTable).pins
NAMES = sorted({row.package for row in ROWS})


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_newest_first_and_apart(name: str) -> None:
    rows = [row for row in ROWS if row.package == name]
    spans = [(versions.key(row.first), versions.key(row.last or row.first)) for row in rows]
    assert all(first is not None and last is not None and first <= last for first, last in spans)
    assert all(newer[0] > older[1] for newer, older in pairwise(spans) if newer[0] and older[1])


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.package} {row.first}") for row in ROWS])
def test_rows_can_be_read(row: Pins) -> None:
    assert row.requires or row.python
    assert versions.clauses(row.python) is not None
    for name, specifier in row.requires.items():
        assert name == name.lower().replace("_", "-").replace(".", "-")
        assert versions.clauses(specifier)


def test_a_release_between_rows_has_two_neighbours() -> None:
    below, above = neighbours("llamafactory", "0.9.2.dev0")
    assert (below.first, above.first) == ("0.9.1", "0.9.2")
    assert [row.first for row in neighbours("llamafactory", "0.9.2")] == ["0.9.2"]
    assert neighbours("llamafactory", "0.0.1") == []
    assert neighbours("llamafactory", "99.0") == []
    assert neighbours("no-such-package", "1.0") == []


@pytest.mark.parametrize("name", sorted({row.package for row in load("binaries", Binaries).extension}))
def test_binaries_are_newest_first(name: str) -> None:
    first = [versions.key(row.first) for row in load("binaries", Binaries).extension if row.package == name]
    assert first == sorted(first, key=lambda key: key or ((), (0, "", 0), 0, (0, 0)), reverse=True)
