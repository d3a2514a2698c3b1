"""The cause files: every slug has a rule and a file, and every sign is a pattern that can match and cannot run away."""

from __future__ import annotations

import re

import pytest

from envcheck.discover import names
from envcheck.judge.diagnose import rules
from envcheck.judge.rows import load
from envcheck.judge.rule import remedy_of, signs_of
from envcheck.resources import folder
from envcheck.schema.cause import CauseFile
from envcheck.schema.causes import CAUSES

SLUGS = set(CAUSES) - {"not_environment"}


def test_every_slug_has_a_rule_and_a_file() -> None:
    assert {rule.cause for rule in rules()} == SLUGS
    assert {path.stem for path in (folder("requirements_matrix") / "causes").glob("*.toml")} == SLUGS
    assert set(names("envcheck.judge.rules")) == SLUGS


def test_rules_explain_only_known_causes() -> None:
    assert {cause for rule in rules() for cause in rule.explains} <= SLUGS


@pytest.mark.parametrize("cause", sorted(SLUGS))
def test_signs_are_lower_case_and_compile(cause: str) -> None:
    assert remedy_of(cause).says
    assert all(address.startswith("https://") for address in load(f"causes/{cause}", CauseFile).sources)
    assert load(f"causes/{cause}", CauseFile).sources
    for sign in signs_of(cause):
        assert sign.has == sign.has.lower()
        assert len(sign.has) >= 2
        assert sign.says.endswith(".")
        assert all(word == word.lower() for word in sign.unless)
        re.compile(sign.matches)


@pytest.mark.parametrize("cause", sorted(SLUGS))
def test_no_sign_repeats_another(cause: str) -> None:
    keys = [(sign.has, sign.matches, sign.unless) for sign in signs_of(cause)]
    assert len(keys) == len(set(keys))
