"""The command line is killed at known moments; what a user does next ends in the old or in the new state.

The moment is the progress line that the killed command has just written, so the outcome does not depend on how fast the
machine is. Random moments, by the hundred, are `benchmarks/kill_installs.py --command`.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.install.houses import Houses, installed


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Houses:
    return Houses(tmp_path_factory.mktemp("kills"), files=20)


@pytest.fixture(scope="module")
def clean(houses: Houses) -> dict[bool, dict[str, dict[str, str]]]:
    return {in_place: houses.clean(in_place) for in_place in (False, True)}


@pytest.mark.parametrize(
    ("in_place", "moment", "again"),
    [
        (False, "creating the environment", False),
        (False, "fetching", True),
        (False, "verifying", False),
        (True, "saving the environment", True),
        (True, "fetching", False),
        (True, "verifying", True),
        (True, "verifying", False),
    ],
)
def test_a_killed_command_leaves_nothing_behind(
    houses: Houses,
    clean: dict[bool, dict[str, dict[str, str]]],
    tmp_path: Path,
    in_place: bool,
    moment: str,
    again: bool,
) -> None:
    root = tmp_path / "env"
    houses.copy(root, in_place)
    process = houses.start(*houses.install(root, "new", in_place), heard=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if moment in line:
            break
    assert moment in said[-1], said
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    process.stderr.close()
    if again:
        houses.finish(*houses.install(root, "new", in_place))
    else:
        # 2: the killed installation had not got far enough for anything to be taken back.
        houses.finish(*houses.rollback(root, in_place), codes=(0, 2))
    expected = clean[in_place]["new" if again else "old"]
    assert installed(root, in_place) == expected
    houses.finish(*houses.install(root, "new", in_place))
    assert installed(root, in_place) == clean[in_place]["new"]
