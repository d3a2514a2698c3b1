"""Loading the matrix: typed, cached, and clear about what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from envcheck.judge import rows
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.requirement import BackendMatrix
from envcheck.schema.tables import Drivers

GOOD = """
[[floor]]
cuda = "12"
linux = "525.60.13"
windows = "528.33"
source = "https://example.org/"
checked = "2026-11-21"

[[toolkit]]
cuda = "12.9"
linux = "575.51.03"
source = "https://example.org/"
checked = "2026-11-21"
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "llm-envcheck"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "drivers.toml"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('linux = "575.51.03"', "linux = 575", "toolkit[0].linux"),
        ('cuda = "12"\n', "", "floor[0]"),
        ('windows = "528.33"', 'widnows = "528.33"', "widnows"),
        ("[[floor]]", "[[flor]]", "flor"),
        ('cuda = "12.9"', 'cuda = "12.9', "not valid TOML"),
    ],
)
def test_a_bad_row_is_named_with_file_key_and_reason(old: str, new: str, expected: str) -> None:
    with pytest.raises(EnvcheckError) as raised:
        rows.parse(GOOD.replace(old, new, 1).encode(), Drivers, "drivers.toml")
    assert str(raised.value).startswith("drivers.toml: ")
    assert expected in str(raised.value)


def test_the_row_is_named_by_its_id_not_by_its_number() -> None:
    text = (
        '[backend]\nname = "x"\ntitle = "X"\nkind = "package"\n'
        '[[requirement]]\nid = "x.python"\ntitle = "Python"\nlink = "runtime"\nseverity = "blocker"\n'
        'fact = "python.version"\nop = "at_least"\nsays = "no"\n'
        'source = "https://example.org"\nchecked = "2026-11-21"\n'
    )
    with pytest.raises(EnvcheckError, match=r"requirement\[0\]\.op \(row 'x\.python'\)"):
        rows.parse(text.encode(), BackendMatrix, "x.toml")


def test_a_version_stays_text() -> None:
    with pytest.raises(EnvcheckError, match=r"floor\[0\]\.cuda"):
        rows.parse(GOOD.replace('cuda = "12"', "cuda = 3.10", 1).encode(), Drivers, "drivers.toml")


def test_the_cache_gives_what_the_file_gives(table: Path, cache: Path) -> None:
    first = rows.read(table, Drivers, keep=True)
    assert list(cache.iterdir())
    assert rows.read(table, Drivers, keep=True) == first == rows.read(table, Drivers)


def test_an_edited_file_is_read_again(table: Path, cache: Path) -> None:
    rows.read(table, Drivers, keep=True)
    table.write_text(GOOD.replace("575.51.03", "575.51.04999"))
    assert rows.read(table, Drivers, keep=True).toolkit[0].linux == "575.51.04999"


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"{}", b'["key", {}]', b'["key"', b"[" * 5000])
def test_a_broken_cache_is_ignored_and_rewritten(table: Path, cache: Path, content: bytes) -> None:
    whole = rows.read(table, Drivers, keep=True)
    (kept,) = cache.iterdir()
    good = kept.read_bytes()
    kept.write_bytes(content)
    assert rows.read(table, Drivers, keep=True) == whole
    assert kept.read_bytes() == good


def test_a_cached_row_of_the_wrong_type_is_not_believed(table: Path, cache: Path) -> None:
    whole = rows.read(table, Drivers, keep=True)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes().replace(b'"525.60.13"', b"525"))
    assert rows.read(table, Drivers, keep=True) == whole


def test_a_home_that_cannot_be_written_is_no_obstacle(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert rows.read(table, Drivers, keep=True) == rows.read(table, Drivers)


def test_no_home_at_all_is_no_obstacle(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert rows.read(table, Drivers, keep=True) == rows.read(table, Drivers)


def test_a_policy_or_foreign_file_is_never_cached(table: Path, cache: Path) -> None:
    rows.read(table, Drivers)
    assert not cache.exists()


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EnvcheckError, match=r"gone\.toml: cannot be read .* reinstall"):
        rows.read(tmp_path / "gone.toml", Drivers)


def test_an_unknown_backend_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"Unknown backend 'vlm': choose one of llama\.cpp, ollama"):
        rows.backend("vlm")


def test_every_backend_of_the_folder_is_listed() -> None:
    assert rows.backend_names() == ["llama.cpp", "ollama", "sglang", "tensorrt-llm", "transformers", "vllm"]
    for name in rows.backend_names():
        assert rows.backend(name).backend.name == name
