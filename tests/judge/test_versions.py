"""The order of versions agrees with `packaging`, which is the reference for PEP 440."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from envcheck.judge import versions

RELEASES = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
SUFFIXES = st.sampled_from(["", "rc1", "a2", "b0", ".post1", ".post3", ".dev4", "rc2.dev1", "a1.post2"])
LABELS = st.sampled_from(["", "+cu128", "+cpu", "+rocm6.4"])
VERSIONS = st.builds(lambda r, s: r + s, RELEASES, SUFFIXES)
FINAL = RELEASES


@settings(max_examples=300, deadline=None)
@given(VERSIONS, VERSIONS)
def test_order_is_that_of_pep_440(left: str, right: str) -> None:
    mine = versions.key(left), versions.key(right)
    assert mine[0] is not None
    assert mine[1] is not None
    assert (mine[0] < mine[1]) == (Version(left) < Version(right))
    assert (mine[0] == mine[1]) == (Version(left) == Version(right))


@settings(max_examples=500, deadline=None)
@given(VERSIONS, st.sampled_from(["==", "!=", ">=", "<=", ">", "<"]), VERSIONS, LABELS)
def test_specifiers_are_those_of_pep_440(version: str, operator: str, other: str, label: str) -> None:
    expected = SpecifierSet(f"{operator}{other}").contains(version + label, prereleases=True)
    assert versions.within(version + label, f"{operator}{other}") is expected or (operator in "<>" and label)


@settings(max_examples=200, deadline=None)
@given(VERSIONS, st.sampled_from(["==", "!="]), FINAL)
def test_prefix_matches_are_those_of_pep_440(version: str, operator: str, prefix: str) -> None:
    specifier = f"{operator}{prefix}.*"
    assert versions.within(version, specifier) is SpecifierSet(specifier).contains(version, prereleases=True)


@settings(max_examples=200, deadline=None)
@given(VERSIONS, st.lists(st.integers(0, 30), min_size=2, max_size=4))
def test_compatible_release_is_that_of_pep_440(version: str, parts: list[int]) -> None:
    specifier = "~=" + ".".join(map(str, parts))
    assert versions.within(version, specifier) is SpecifierSet(specifier).contains(version, prereleases=True)


@pytest.mark.parametrize(
    ("version", "floor", "expected"),
    [
        ("575.57.08", "525.60.13", True),
        ("525.60.12", "525.60.13", False),
        ("580", "580.65.06", False),
        ("2.35", "2.5", True),
        ("12.9", "13", False),
        ("13.0", "13", True),
        ("garbage", "1", None),
    ],
)
def test_plain_numbers_compare_by_part(version: str, floor: str, expected: bool | None) -> None:
    assert versions.at_least(version, floor) is expected


@pytest.mark.parametrize("text", ["", "not a version", "1.2.", "v", "1..2", "9" * 5000, "1.٣"])
def test_what_is_no_version_has_no_order(text: str) -> None:
    assert versions.key(text) is None
    assert versions.within(text, ">=1") is None


def test_an_unreadable_specifier_is_not_a_yes() -> None:
    assert versions.within("1.0", ">>1") is None
    assert versions.within("1.0", "") is True
