"""Changing somebody's environment in place: added, or put back exactly; refused where it could not be put back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envcheck.install.in_place import (
    InPlace,
    from_folders,
    install_in_place,
    open_environment,
    recover_in_place,
    rollback_in_place,
    save,
)
from envcheck.install.journal import Entry, Journal
from envcheck.schema.errors import EnvcheckError, InputError
from tests.install.conftest import NEW, OLD, World
from tests.install.wheels import tree

Progress = Callable[[str], None]


@pytest.fixture
def place(world: World, tmp_path: Path) -> InPlace:
    """A user's environment that holds the old state and a file of the user's own."""
    root = tmp_path / "users env"
    uv = [str(Path(sys.executable).parent / "uv")]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(root)], check=True)
    install = [
        "pip",
        "install",
        "-q",
        "--python",
        str(root / "bin" / "python"),
        *world.sources,
        "-r",
        str(world.lock(OLD)),
    ]
    subprocess.run([*uv, *install], check=True)
    (root / "bin" / "my-script").write_text("echo mine\n")
    return open_environment(root / "bin" / "python")


def state(place: InPlace) -> dict[str, str]:
    return {k: v for k, v in tree(place.prefix).items() if not k.startswith(".envcheck")}


def put(world: World, place: InPlace, quiet: Progress, wrong: tuple[str, ...] = ()) -> int:
    return install_in_place(
        world.host, place, world.lock(NEW), receipt=world.receipt(NEW), verify=lambda python: wrong, progress=quiet,
        sources=world.sources,
    )  # fmt: skip


def test_change_and_undo(world: World, place: InPlace, quiet: Progress) -> None:
    before = state(place)
    assert put(world, place, quiet) == 1
    assert any("alpha-2.0.dist-info" in path for path in state(place))
    assert any("gamma-1.0.dist-info" in path for path in state(place)), "packages outside the lock stay"
    assert rollback_in_place(place, quiet) == 1
    assert state(place) == before
    with pytest.raises(InputError, match="no change of envcheck to undo"):
        rollback_in_place(place, quiet)


def test_a_failure_puts_everything_back(world: World, place: InPlace, quiet: Progress) -> None:
    before = state(place)
    with pytest.raises(EnvcheckError, match="not what was planned"):
        put(world, place, quiet, wrong=("alpha does not import",))
    assert state(place) == before


def test_a_death_half_way_is_undone_at_the_next_start(world: World, place: InPlace, quiet: Progress) -> None:
    before = state(place)
    journal = Journal(place.state / "journal.jsonl")
    save(place)
    journal.append(Entry(state="applying", generation=1))
    for path in [*(place.prefix / "lib").rglob("alpha/*.py")]:
        path.unlink()
    (place.prefix / "bin" / "half").write_text("x")
    recover_in_place(place, journal, quiet)
    assert state(place) == before
    recover_in_place(place, journal, quiet)
    assert state(place) == before


def test_taking_back_a_change_that_died_goes_no_further(world: World, place: InPlace, quiet: Progress) -> None:
    before = state(place)
    put(world, place, quiet)
    after = state(place)
    journal = Journal(place.state / "journal.jsonl")
    save(place)
    journal.append(Entry(state="applying", generation=2))
    next((place.prefix / "lib").rglob("alpha/part1.py")).unlink()
    assert rollback_in_place(place, quiet) == 2
    assert state(place) == after
    assert rollback_in_place(place, quiet) == 1
    assert state(place) == before


def test_environments_that_are_not_ours_to_change(tmp_path: Path) -> None:
    def environment(name: str, *marks: str) -> Path:
        root = tmp_path / name
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "python").symlink_to(sys.executable)
        for mark in marks:
            (root / mark).mkdir() if mark == "conda-meta" else (root / mark).write_text("x")
        return root / "bin" / "python"

    for python, says in (
        (environment("conda", "conda-meta"), "managed by conda"),
        (environment("tool", "pyvenv.cfg", "uv-receipt.toml"), "tool installer"),
        (environment("pipx", "pyvenv.cfg", "pipx_metadata.json"), "tool installer"),
        (environment("system"), "system interpreter"),
    ):
        with pytest.raises(InputError, match=says):
            open_environment(python)
        assert not (python.parent.parent / ".envcheck").exists()


def test_a_failed_change_keeps_the_undo_of_the_one_before(world: World, place: InPlace, quiet: Progress) -> None:
    before = state(place)
    put(world, place, quiet)
    after = state(place)
    with pytest.raises(EnvcheckError, match="not what was planned"):
        put(world, place, quiet, wrong=("beta does not import",))
    assert state(place) == after
    assert rollback_in_place(place, quiet) == 1
    assert state(place) == before


def test_a_damaged_package_is_put_there_again(world: World, place: InPlace, quiet: Progress) -> None:
    put(world, place, quiet)
    after = state(place)
    next((place.prefix / "lib").rglob("alpha/part1.py")).unlink()
    install_in_place(
        world.host, place, world.lock(NEW), receipt=world.receipt(NEW), verify=lambda _: (), progress=quiet,
        sources=world.sources, reinstall=True,
    )  # fmt: skip
    assert state(place) == after


def test_without_the_saved_copy_nothing_is_touched(place: InPlace, quiet: Progress) -> None:
    place.state.mkdir(exist_ok=True)
    before = state(place)
    journal = Journal(place.state / "journal.jsonl")
    journal.append(Entry(state="applying", generation=1))
    with pytest.raises(EnvcheckError, match="cannot be put back"):
        recover_in_place(place, journal, quiet)
    assert state(place) == before


@pytest.mark.parametrize(
    ("said", "how"),
    [
        ('{"url": "file:///home/me/fast-api", "dir_info": {"editable": true}}', "in editable mode"),
        ('{"url": "file:///home/me/fast-api", "dir_info": {}}', "from a folder"),
        ('{"url": "file:///home/me/x-1-py3-none-any.whl", "archive_info": {}}', None),
        ('{"url": "https://example.org/x.whl", "archive_info": {}}', None),
        ("[]", None),
        ("not json", None),
    ],
)
def test_what_somebody_works_on_is_known_by_its_origin(place: InPlace, said: str, how: str | None) -> None:
    folder = next(place.prefix.glob("lib/python*/site-packages")) / "Fast_Api-1.0.dist-info"
    folder.mkdir()
    (folder / "direct_url.json").write_text(said)
    assert from_folders(place).get("fast-api") == how
