"""Profiles answer to the names that remedies and backends use."""

from __future__ import annotations

import pytest

from envcheck.install import profiles
from envcheck.judge import rows


@pytest.mark.parametrize("spelled", ["llama-cpp", "llama.cpp", "llama_cpp", "Llama.cpp"])
def test_a_backend_is_found_however_it_is_spelled(spelled: str) -> None:
    assert [each.name for each in profiles.load([spelled])] == ["llama-cpp"]


def test_every_install_that_a_remedy_names_is_a_profile() -> None:
    commands = [
        command.split()
        for backend in ("machine", *rows.backend_names())
        for row in rows.matrix_of(backend).requirement
        if row.remedy
        for command in row.remedy.commands
    ]
    named = [words[2] for words in commands if words[:2] == ["envcheck", "install"] and len(words) > 2]
    assert named
    assert profiles.load(named)
