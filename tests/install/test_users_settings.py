"""uv is called with the user's mirrors, wherever they are set, and without what would install something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from envcheck.host import Host
from envcheck.install.users_settings import mirrors, setting_of
from envcheck.install.uv import scrubbed

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
    env = scrubbed(host).env
    assert env["UV_DEFAULT_INDEX"] == "https://someone:secret@mirror.example/simple"
    assert env["UV_FIND_LINKS"] == "/srv/wheels,/srv/more"
    assert "UV_INDEX" not in env


def test_mirrors_are_reported_without_credentials(home: Path) -> None:
    (home / ".config" / "uv").mkdir()
    (home / ".config" / "uv" / "uv.toml").write_text(
        'exclude-newer = "2020-01-01"\nindex-url = "https://a:b@in.example/s"'
    )
    said = mirrors(Host(env={"HOME": str(home), "UV_INDEX": "https://token@inner.example/a"}))
    assert "secret" not in str(said)
    assert "token" not in str(said)
    assert said["UV_INDEX"] == "https://inner.example/a"
    assert said["index-url in ~/.config/pip/pip.conf"] == "https://mirror.example/simple"
    assert "left aside" in said["extra-index-url in ~/.config/pip/pip.conf"]
    assert said["~/.config/uv/uv.toml"] == (
        "UV_DEFAULT_INDEX = https://in.example/s; left aside, because it would change the plan: exclude-newer"
    )


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
    assert scrubbed(Host(env={"HOME": str(home), **env})).env.get("UV_DEFAULT_INDEX") == index


def test_a_broken_configuration_of_pip_is_not_ours_to_stop_at(home: Path) -> None:
    (home / ".config" / "pip" / "pip.conf").write_text("no section\n")
    assert "UV_DEFAULT_INDEX" not in scrubbed(Host(env={"HOME": str(home)})).env


@pytest.mark.parametrize("name", ["UV_TORCH_BACKEND", "UV_CONSTRAINT", "PIP_TARGET", "PYTHONPATH", "VIRTUAL_ENV"])
def test_what_would_defeat_a_plan_is_left_out(name: str) -> None:
    assert name not in scrubbed(Host(env={name: "x", "PATH": "/bin"})).env


PROJECT = """
[project]
name = "theirs"
version = "1"
[tool.uv]
exclude-newer = "2020-01-01"
override-dependencies = ["numpy<2"]
find-links = ["wheels"]
[[tool.uv.index]]
name = "company"
url = "https://user:secret@company.example/simple"
[[tool.uv.index]]
name = "kernels"
url = "https://kernels.example/cu118"
explicit = true
[tool.uv.pip]
torch-backend = "cu118"
"""


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A user who works in a folder of a project, with settings of their own beside it."""
    folder = home / "work" / "deep"
    folder.mkdir(parents=True)
    (home / "work" / "pyproject.toml").write_text(PROJECT)
    (home / ".config" / "uv").mkdir()
    mine = 'no-binary = ["torch"]\n[[index]]\nurl = "https://mine.example/simple"\ndefault = true\n'
    (home / ".config" / "uv" / "uv.toml").write_text('find-links = ["/srv/user"]\n' + mine)
    monkeypatch.chdir(folder)
    return Host(env={"HOME": str(home)})


def test_the_mirrors_of_a_project_and_of_the_user_reach_uv_and_nothing_else_does(home: Path, project: Host) -> None:
    env = scrubbed(project).env
    assert {name: value for name, value in env.items() if name.startswith("UV_")} == {
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_INDEX": "company=https://user:secret@company.example/simple",
        "UV_DEFAULT_INDEX": "https://mine.example/simple",
        "UV_FIND_LINKS": f"{home}/work/wheels,/srv/user",
    }


def test_what_is_left_aside_is_said_by_name(project: Host) -> None:
    said = mirrors(project)
    assert "secret" not in str(said)
    assert "company=https://company.example/simple" in said["~/work/pyproject.toml"]
    assert said["~/work/pyproject.toml"].endswith("the plan: exclude-newer, override-dependencies, torch-backend")
    assert said["~/.config/uv/uv.toml"].endswith("the plan: no-binary")


def test_a_named_file_takes_the_place_of_the_others(home: Path, project: Host) -> None:
    (home / "named.toml").write_text('index-url = "https://named.example/simple"')
    env = scrubbed(Host(env={**project.env, "UV_CONFIG_FILE": str(home / "named.toml")})).env
    assert env["UV_DEFAULT_INDEX"] == "https://named.example/simple"
    assert "UV_INDEX" not in env
    assert "UV_CONFIG_FILE" not in env


def test_without_configuration_means_without(project: Host) -> None:
    env = scrubbed(Host(env={**project.env, "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": "/dev/null"})).env
    assert not {"UV_INDEX", "UV_DEFAULT_INDEX", "UV_FIND_LINKS"} & set(env)


@pytest.mark.parametrize("text", ["not toml [", "index = 3\n", "[[index]]\nurl = 5\n", "pip = 1\n"])
def test_a_broken_file_of_settings_stops_nothing(project: Host, home: Path, text: str) -> None:
    (home / "work" / "uv.toml").write_text(text)
    assert scrubbed(project).env["UV_DEFAULT_INDEX"] == "https://mine.example/simple"
    mirrors(project)


def test_a_variable_is_nearer_than_any_file(project: Host) -> None:
    env = scrubbed(Host(env={**project.env, "UV_INDEX": "https://own.example", "UV_NO_VERIFY_HASHES": "1"})).env
    assert env["UV_INDEX"] == "https://own.example"
    assert "UV_NO_VERIFY_HASHES" not in env


@pytest.mark.parametrize(
    ("url", "setting"),
    [
        ("https://company.example/simple/fastapi/", "~/work/pyproject.toml"),
        ("https://user:****@company.example/simple/fastapi/", "~/work/pyproject.toml"),
        ("https://mine.example/simple/fastapi/", "~/.config/uv/uv.toml"),
        ("https://index.example/simple/fastapi/", ""),
        ("https://example/simple/fastapi/", ""),
        ("", ""),
    ],
)
def test_an_index_that_does_not_answer_is_named_with_the_setting_that_names_it(
    project: Host, url: str, setting: str
) -> None:
    assert setting_of(project, url) == setting
