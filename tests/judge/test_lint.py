"""The shipped matrix is clean, and the lint sees each kind of fault."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from envcheck.judge import rows
from envcheck.judge.lint import lint, lint_backend
from envcheck.schema.requirement import Backend, BackendMatrix, Condition, Release, Requirement
from envcheck.schema.verdict import Remedy

ROW = Requirement(
    id="x.python",
    title="Python",
    link="runtime",
    severity="blocker",
    fact="python.version",
    op="version_in",
    value=">=3.11",
    says="Python {actual} is too old.",
    source="https://example.org/",
    checked="2026-11-21",
)


def matrix(*requirements: Requirement, release: tuple[Release, ...] = ()) -> BackendMatrix:
    backend = Backend(name="x", title="X", kind="package", packages=("x",))
    return BackendMatrix(backend=backend, release=release, requirement=requirements)


def faults(**changes: Any) -> list[str]:
    row = msgspec.structs.replace(ROW, **changes)
    return [complaint.says for complaint in lint_backend("x.toml", matrix(row))]


def test_the_shipped_matrix_has_no_errors() -> None:
    assert [c for c in lint("2026-11-21") if c.level == "error"] == []


def test_rows_older_than_180_days_are_named_and_are_no_errors() -> None:
    complaints = lint("2027-05-21")
    assert complaints
    assert {c.level for c in complaints} == {"warning"}
    assert "days ago" in complaints[0].says


def test_a_date_in_the_future_is_an_error() -> None:
    assert {c.level for c in lint("2020-01-01")} == {"error"}


def test_a_good_row_has_no_faults() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"remedy": Remedy(says="Do.", commands=("x",))}, "does not say what they change"),
        ({"otherwise": (Remedy(says="Do {nobody.knows}."),)}, "not in the vocabulary"),
        ({"id": "y.python"}, "must start with 'x.'"),
        ({"fact": "python.verzion"}, "not in the vocabulary"),
        ({"fact": "packages."}, "not in the vocabulary"),
        ({"fact": "cpu.flags"}, "does not work on 'cpu.flags'"),
        ({"op": "exists"}, "takes no value"),
        ({"value": None}, "exactly one of"),
        ({"value_of": "release.python"}, "exactly one of"),
        ({"value": None, "value_of": "release.pyton"}, "not in the vocabulary"),
        ({"value": ""}, "vacuous"),
        ({"op": "in", "value": ()}, "vacuous"),
        ({"op": "version_at_least", "value": "new"}, "needs a version"),
        ({"fact": "cpu.cores", "op": "number_at_least", "value": 0}, "vacuous"),
        ({"fact": "cpu.cores", "op": "number_at_most", "value": "4"}, "needs a number"),
        ({"across": "all"}, "means nothing"),
        ({"says": " "}, "says nothing"),
        ({"says": "{python.verzion}"}, "not in the vocabulary"),
        ({"says": "{python.version"}, "open brace"),
        ({"limits": "{nope}"}, "not in the vocabulary"),
        ({"remedy": Remedy(says="do", commands=("pip install {x.y}",))}, "not in the vocabulary"),
        ({"cause": "bad_luck"}, "not in the vocabulary"),
        ({"versions": "new"}, "no specifier"),
        ({"requires": ("x.gone",)}, "unknown id"),
        ({"when": (Condition(fact="python.version", op="version_in", value=">=3.11"),)}, "vacuous"),
        ({"when": (Condition(fact="nope", op="exists"),)}, "not in the vocabulary"),
    ],
)
def test_each_fault_is_seen(changes: dict[str, Any], expected: str) -> None:
    found = faults(**changes)
    assert any(expected in says for says in found), found


@pytest.mark.parametrize(
    ("one", "two", "overlaps"),
    [
        (">=1,<2", ">=2", False),
        (">=1,<2", ">=1.5", True),
        ("", ">=2", True),
        ("<1", ">1", False),
        ("<=1", ">=1", True),
        ("==1.5", ">=1,<2", True),
    ],
)
def test_rows_of_one_id_must_not_overlap_with_different_verdicts(one: str, two: str, overlaps: bool) -> None:
    first = msgspec.structs.replace(ROW, versions=one)
    second = msgspec.structs.replace(ROW, versions=two, value=">=3.12")
    complaints = list(lint_backend("x.toml", matrix(first, second)))
    assert bool(complaints) is overlaps
    same = msgspec.structs.replace(first, versions=two)
    assert list(lint_backend("x.toml", matrix(first, same))) == []


def test_releases_are_newest_first() -> None:
    newest, older = (
        Release(version=v, source="https://example.org/", checked="2026-11-21") for v in ("1.10.0", "1.9.0")
    )
    assert list(lint_backend("x.toml", matrix(ROW, release=(newest, older)))) == []
    assert list(lint_backend("x.toml", matrix(ROW, release=(older, newest))))


def test_every_required_id_of_the_shipped_rows_can_be_reached() -> None:
    machine = {row.id for row in rows.matrix_of("machine").requirement}
    for name in rows.backend_names():
        assert list(lint_backend(name, rows.backend(name), machine)) == []
