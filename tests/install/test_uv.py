"""uv is told where packages are; what was pushed back is said."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from envcheck.host import Host
from envcheck.install import uv
from envcheck.install.resolve import behind


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
