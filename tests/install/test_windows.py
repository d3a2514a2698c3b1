"""Windows: planned with steps that work there, refused in one sentence where a switch would be needed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from envcheck.host import Host
from envcheck.importers import assume
from envcheck.install import in_place, layout, lockfile
from envcheck.installing import Wanted, prepare
from envcheck.schema.errors import EnvcheckError, InputError

MACHINE: dict[str, Any] = {"os": "windows", "arch": "x86_64", "python": "3.12.4", "driver": "576.02"}


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "is_windows", lambda: True)


def test_the_plan_has_steps_for_a_person() -> None:
    stated = {**MACHINE, "gpus": [{"name": "NVIDIA GeForce RTX 4070"}]}
    snapshot = assume.to_snapshot(assume.read(msgspec.json.encode(stated).decode(), "case"))
    plan = prepare(snapshot, Wanted(profiles=("transformers",), target=Path("env"))).plan
    assert plan.decision.accelerator == "cu126"
    assert plan.decision.torch == "2.14.1"
    assert all(step.manual for step in plan.steps)
    words = [word for step in plan.steps for word in step.argv]
    assert "env\\Scripts\\python.exe" in words
    assert "torch==2.14.1" in words
    assert words[words.index("--torch-backend") + 1] == "cu126"
    assert not {"ln", "LOCK"} & set(words)
    assert not any("bin/python" in word for word in words)
    assert [step.argv[:3] for step in plan.steps[:3]] == [
        ("uv", "venv", "--python"),
        ("uv", "pip", "install"),
        ("uv", "pip", "check"),
    ]
    assert plan.steps[-1].argv == ("envcheck", "verify", "--python", "env\\Scripts\\python.exe")
    assert not any("rollback" in step.says or "generation" in step.says for step in plan.steps)


@pytest.mark.parametrize(
    ("gpus", "driver", "accelerator"),
    [
        (["NVIDIA GeForce RTX 5090"], "572.61", "cu128"),
        (["NVIDIA GeForce RTX 5090"], "581.15", "cu130"),
        (["NVIDIA GeForce GTX 1080 Ti"], "581.15", "cu126"),
        (["NVIDIA GeForce RTX 3060"], "528.33", "cu126"),
        (["Intel Arc B580"], "", "xpu"),
        ([], "", "cpu"),
    ],
)
def test_the_wheels_are_those_for_windows_and_its_driver(gpus: list[str], driver: str, accelerator: str) -> None:
    stated = {"os": "windows", "arch": "x86_64", "python": "3.12.4", "gpus": [{"name": name} for name in gpus]}
    stated |= {"driver": driver} if driver else {}
    snapshot = assume.to_snapshot(assume.read(msgspec.json.encode(stated).decode(), "case"))
    plan = prepare(snapshot, Wanted(profiles=("transformers",))).plan
    assert plan.decision.accelerator == accelerator, plan.decision
    install = plan.steps[1].argv
    assert install[install.index("--torch-backend") + 1] == accelerator


@pytest.mark.parametrize("profile", ["web", "embedded", "llama-cpp", "ollama-client", "vector", "data", "embeddings"])
def test_every_profile_has_steps_in_their_order(profile: str) -> None:
    snapshot = assume.to_snapshot(assume.read(msgspec.json.encode({**MACHINE, "gpus": []}).decode(), "case"))
    plan = prepare(snapshot, Wanted(profiles=(profile,), python=Path("C:\\env\\Scripts\\python.exe"))).plan
    assert not plan.blocked
    assert all(step.manual and step.argv for step in plan.steps)
    assert plan.steps[0].argv[:3] == ("uv", "pip", "freeze")
    assert ("uv", "pip", "check") in [step.argv[:3] for step in plan.steps]


def test_a_switch_is_refused_before_anything_is_written(windows: None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--dry-run shows yourself, or use WSL2"):
        layout.open_target(tmp_path / "env")
    assert not (tmp_path / "env").exists()
    layout.require_target(tmp_path / "env")


def test_an_environment_is_not_changed_in_place(windows: None, tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("home = x")
    place = in_place.open_environment(tmp_path / "Scripts" / "python.exe")
    with pytest.raises(InputError, match="WSL2"):
        in_place.rollback_in_place(place, lambda _: None)
    assert not place.state.exists()


class Locks:
    """`msvcrt`, as far as it is asked: bytes are locked from where the file stands."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.held: set[int] = set()

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        import os

        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        if place in self.held:
            raise OSError(36, "Resource deadlock avoided")
        self.held.add(place)


def test_the_second_of_two_is_told_who_is_at_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    locks = Locks()
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locks.locking))
    path = tmp_path / "env" / ".envcheck" / "lock"
    path.parent.mkdir(parents=True)
    with (
        lockfile.exclusive(path, 0, lambda _: None),
        pytest.raises(EnvcheckError, match="Another installation"),
        lockfile.exclusive(path, 0, lambda _: None),
    ):
        pass
    assert len(locks.held) == 1
    assert min(locks.held) > path.stat().st_size, "the holder's number stays readable"


def test_the_interpreter_of_an_active_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    python.parent.mkdir()
    python.write_text("")
    assert Host(env={"VIRTUAL_ENV": str(tmp_path)}).target_python == str(python)
