"""uv is called with the user's mirrors and without what would install something else; what was pushed back is said."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from envcheck.host import Host
from envcheck.install import uv
from envcheck.install.resolve import behind

PIP = """
[global]
index-url = https://someone:secret@mirror.example/simple
find-links = /srv/wheels
    /srv/more
[install]
extra-index-url = https://other.example/simple
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "pip" / "pip.conf").write_text(PIP)
    return tmp_path


def test_the_settings_of_pip_that_name_a_mirror_reach_uv(home: Path) -> None:
    host = Host(env={"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")})
    env = uv.scrubbed(host).env
    assert env["UV_DEFAULT_INDEX"] == "https://someone:secret@mirror.example/simple"
    assert env["UV_FIND_LINKS"] == "/srv/wheels,/srv/more"
    assert "UV_INDEX" not in env


def test_mirrors_are_reported_without_credentials(home: Path) -> None:
    (home / ".config" / "uv").mkdir()
    (home / ".config" / "uv" / "uv.toml").write_text("")
    said = uv.mirrors(Host(env={"HOME": str(home), "UV_INDEX": "https://token@inner.example/a"}))
    assert "secret" not in str(said)
    assert "token" not in str(said)
    assert said["UV_INDEX"] == "https://inner.example/a"
    assert said["index-url in ~/.config/pip/pip.conf"] == "https://mirror.example/simple"
    assert "left aside" in said["extra-index-url in ~/.config/pip/pip.conf"]
    assert said["~/.config/uv/uv.toml"] == "read by uv"


@pytest.mark.parametrize(
    ("env", "index"),
    [
        ({"PIP_INDEX_URL": "https://variable.example"}, "https://variable.example"),
        (
            {"PIP_INDEX_URL": "https://variable.example", "UV_DEFAULT_INDEX": "https://own.example"},
            "https://own.example",
        ),
        ({"UV_INDEX_URL": "https://older.example"}, None),
    ],
)
def test_the_nearer_setting_wins(home: Path, env: dict[str, str], index: str | None) -> None:
    assert uv.scrubbed(Host(env={"HOME": str(home), **env})).env.get("UV_DEFAULT_INDEX") == index


def test_a_broken_configuration_of_pip_is_not_ours_to_stop_at(home: Path) -> None:
    (home / ".config" / "pip" / "pip.conf").write_text("no section\n")
    assert "UV_DEFAULT_INDEX" not in uv.scrubbed(Host(env={"HOME": str(home)})).env


@pytest.mark.parametrize("name", ["UV_TORCH_BACKEND", "UV_CONSTRAINT", "PIP_TARGET", "PYTHONPATH", "VIRTUAL_ENV"])
def test_what_would_defeat_a_plan_is_left_out(name: str) -> None:
    assert name not in uv.scrubbed(Host(env={name: "x", "PATH": "/bin"})).env


def release(name: str, version: str, year: int = 2026) -> dict[str, Any]:
    return {"name": name, "version": version, "wheels": [{"upload-time": datetime(year, 1, 1, tzinfo=UTC)}]}


@pytest.mark.parametrize(
    ("old", "new", "warned"),
    [
        (release("a", "1.5"), release("a", "1.7"), False),
        (release("a", "1.5"), release("a", "1.8"), True),
        (release("a", "1.5"), release("a", "2.0"), True),
        (release("a", "1.5.1", 2024), release("a", "1.5.2", 2026), True),
        (release("a", "1.5", 2020), release("a", "1.5", 2020), False),
        (release("a", "2.13.0+cpu"), release("a", "2.14.0"), False),
        (release("a", "1.0"), release("b", "9.0"), False),
    ],
)
def test_packages_pushed_far_back(old: dict[str, Any], new: dict[str, Any], warned: bool) -> None:
    assert bool(list(behind([old], [new]))) == warned


@pytest.mark.parametrize(
    ("tag", "arguments"),
    [
        (None, ()),
        ("cu126", ("--torch-backend", "cu126")),
        ("rocm99.1", ("--index", "https://wheels.example/rocm99.1", "--index-strategy", "unsafe-best-match")),
    ],
)
def test_a_tag_without_a_name_in_uv_is_found_by_its_address(tag: str | None, arguments: tuple[str, ...]) -> None:
    assert uv.torch_arguments(tag, "https://wheels.example/rocm99.1") == arguments


def test_uv_accepts_the_tags_that_it_is_given() -> None:
    said = Host(limit_s=60.0).run([uv.program(Host()), "pip", "compile", "--torch-backend", "none", "-"]).err
    values = re.search(r"possible values: ([^\]]*)", said)
    assert values is not None, said
    assert set(uv._TAGS) <= set(values[1].split(", "))
