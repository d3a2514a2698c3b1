"""An installation is all or nothing: wherever it fails or dies, the environment is the old or the new one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from envcheck.install.journal import Entry, Journal
from envcheck.install.layout import Layout, open_target
from envcheck.install.transaction import gc, install, recover, rollback
from envcheck.schema.errors import EnvcheckError, InputError
from tests.install.conftest import NEW, OLD, World
from tests.install.wheels import tree

Progress = Callable[[str], None]


def put(world: World, root: Path, state: dict[str, str], quiet: Progress, wrong: tuple[str, ...] = ()) -> int:
    layout = open_target(root)
    return install(
        world.host,
        layout,
        world.lock(state),
        world.python,
        receipt=world.receipt(state),
        verify=lambda python: wrong,
        progress=quiet,
        sources=world.sources,
    )


def versions(root: Path) -> dict[str, str]:
    code = "import importlib.metadata as m; print(' '.join(f'{d.name}={d.version}' for d in m.distributions()))"
    out = subprocess.run([root / "bin" / "python", "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(sorted(pair.split("=") for pair in out.split()))


def test_install_upgrade_rollback(world: World, tmp_path: Path, quiet: Progress) -> None:
    root = tmp_path / "an env with spaces ü"
    assert put(world, root, OLD, quiet) == 1
    assert versions(root) == OLD
    assert put(world, root, NEW, quiet) == 2
    assert versions(root) == NEW
    assert rollback(Layout(root), None, quiet) == 1
    assert versions(root) == OLD
    assert rollback(Layout(root), 2, quiet) == 2
    assert versions(root) == NEW


def test_a_failed_verification_changes_nothing(world: World, tmp_path: Path, quiet: Progress) -> None:
    root = tmp_path / "env"
    put(world, root, OLD, quiet)
    before = tree(root / "generations" / "0001")
    with pytest.raises(EnvcheckError, match="not what was planned: alpha does not import"):
        put(world, root, NEW, quiet, wrong=("alpha does not import",))
    assert versions(root) == OLD
    assert tree(root / "generations" / "0001") == before
    assert Layout(root).numbers() == [1]


@pytest.mark.parametrize("damage", ["wrong hash", "truncated wheel", "missing wheel"])
def test_bad_wheels_are_refused_before_anything_changes(
    world: World, tmp_path: Path, quiet: Progress, damage: str
) -> None:
    root = tmp_path / "env"
    put(world, root, OLD, quiet)
    lock, wheel = world.lock(NEW), world.wheels / "alpha-2.0-py3-none-any.whl"
    if damage == "wrong hash":
        lock.write_text(lock.read_text().replace(world.hashes["alpha", "2.0"], "0" * 64))
    elif damage == "truncated wheel":
        wheel.write_bytes(wheel.read_bytes()[:300])
    else:
        wheel.unlink()
    with pytest.raises(EnvcheckError, match="nothing was changed"):
        install(
            world.host, Layout(root), lock, world.python, receipt=world.receipt(OLD), verify=lambda _: (),
            progress=quiet, sources=world.sources,
        )  # fmt: skip
    assert versions(root) == OLD


@pytest.mark.parametrize("state", ["started", "built", "verified"])
def test_what_a_dead_installation_left_is_removed(world: World, tmp_path: Path, quiet: Progress, state: str) -> None:
    root = tmp_path / "env"
    put(world, root, OLD, quiet)
    layout = Layout(root)
    journal = Journal(layout.state / "journal.jsonl")
    journal.append(Entry(state=state, generation=2, previous=1))  # type: ignore[arg-type]
    (layout.folder(2) / "bin").mkdir(parents=True)
    recover(layout, journal, quiet)
    assert layout.numbers() == [1]
    assert versions(root) == OLD
    last = journal.last()
    assert last is not None
    assert (last.state, last.generation) == ("abandoned", 2)


def test_taking_back_an_installation_that_died_goes_no_further(world: World, tmp_path: Path, quiet: Progress) -> None:
    root = tmp_path / "env"
    put(world, root, OLD, quiet)
    put(world, root, NEW, quiet)
    layout = Layout(root)
    Journal(layout.state / "journal.jsonl").append(Entry(state="started", generation=3, previous=2))
    (layout.folder(3) / "bin").mkdir(parents=True)
    assert rollback(layout, None, quiet) == 2
    assert (versions(root), layout.numbers()) == (NEW, [1, 2])
    assert rollback(layout, None, quiet) == 1
    assert versions(root) == OLD


def test_a_death_right_after_the_switch_counts_as_done(world: World, tmp_path: Path, quiet: Progress) -> None:
    root = tmp_path / "env"
    put(world, root, OLD, quiet)
    put(world, root, NEW, quiet)
    layout = Layout(root)
    journal = Journal(layout.state / "journal.jsonl")
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(lines[:-1]) + lines[-1][:10])  # the last entry was torn by the power cut
    recover(layout, journal, quiet)
    assert versions(root) == NEW
    assert layout.numbers() == [1, 2]


def test_gc_keeps_the_current_generation(world: World, tmp_path: Path, quiet: Progress) -> None:
    root = tmp_path / "env"
    for state in (OLD, NEW, OLD):
        put(world, root, state, quiet)
    layout = Layout(root)
    rollback(layout, 1, quiet)
    assert gc(layout, 1) == [2]
    assert layout.numbers() == [1, 3]
    assert versions(root) == OLD


def test_nothing_to_roll_back(world: World, tmp_path: Path, quiet: Progress) -> None:
    root = tmp_path / "env"
    with pytest.raises(InputError, match="nothing was installed"):
        rollback(open_target(root), None, quiet)
    put(world, root, OLD, quiet)
    with pytest.raises(InputError, match="oldest one kept"):
        rollback(Layout(root), None, quiet)
    with pytest.raises(InputError, match="not kept"):
        rollback(Layout(root), 9, quiet)


@pytest.mark.parametrize("kind", ["file", "foreign files", "somebody's venv", "line break"])
def test_targets_that_are_not_ours_are_refused(tmp_path: Path, kind: str) -> None:
    root = tmp_path / ("a\nb" if kind == "line break" else "env")
    if kind == "file":
        root.write_text("x")
    elif kind == "foreign files":
        root.mkdir()
        (root / "thesis.txt").write_text("x")
    elif kind == "somebody's venv":
        root.mkdir()
        (root / "pyvenv.cfg").write_text("home = x")
    with pytest.raises(InputError):
        open_target(root)
    assert not (root / ".envcheck").exists()


def test_the_journal_survives_torn_and_foreign_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(Entry(state="switched", generation=1))
    with journal.path.open("ab") as file:
        file.write(b'{"state": "star')
    journal.append(Entry(state="started", generation=2))
    assert [(e.state, e.generation) for e in journal.entries()] == [("switched", 1), ("started", 2)]
