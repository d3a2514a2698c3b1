"""Each operator, on each of its three kinds of fact."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from envcheck.judge.operators import ACCEPTS, DriverStack, KernelSet, PerGpu, compare
from envcheck.schema.facts import Absent, Known, Unknown
from envcheck.schema.requirement import Operator

NOBODY = Unknown(why="nobody looked")
NONE = Absent(source="looked")


def fact(value: Any) -> Any:
    return Known(value=value, source="test")


@pytest.mark.parametrize(
    ("op", "value", "expected", "holds"),
    [
        ("exists", "x", None, True),
        ("exists", "", None, False),
        ("exists", (), None, False),
        ("absent", "x", None, False),
        ("equals", "ready", "ready", True),
        ("equals", True, False, False),
        ("in", "Linux", ("linux", "macos"), True),
        ("in", "plan9", ("linux",), False),
        ("not_in", "cpu", ("cpu",), False),
        ("not_in", "cu128", ("cpu",), True),
        ("contains_any", ("avx", "avx2"), ("avx2", "asimd"), True),
        ("contains_any", ("avx",), ("avx2",), False),
        ("contains_all", ("avx", "avx2"), ("avx2",), True),
        ("contains_all", ("avx",), ("avx", "avx2"), False),
        ("number_at_least", 1024, 1024, True),
        ("number_at_least", 1023, 1024, False),
        ("number_at_most", 1, 0, False),
        ("version_at_least", "2.10", "2.9", True),
        ("version_at_least", "what?", "2.9", None),
        ("version_below", "2.10", "2.9", False),
        ("version_below", "2.8", "2.9", True),
        ("version_below", "what?", "2.9", None),
        ("version_in", "3.12.4", ">=3.11,<3.15", True),
        ("version_in", "3.15.0", ">=3.11,<3.15", False),
        ("version_in", "what?", ">=3.11", None),
        ("serves_cuda", DriverStack(driver="535.104.05", windows=False), "12.8", True),
        ("serves_cuda", DriverStack(driver="535.104.05", windows=False), "13.0", False),
        ("serves_cuda_in_full", DriverStack(driver="535.104.05", windows=False), "12.8", False),
        ("serves_cuda_in_full", DriverStack(cuda="12.9"), "12.8", True),
        ("has_kernels", "8.9", KernelSet(kernels=("8.6",)), True),
        ("has_kernels", "12.0", KernelSet(kernels=("9.0",)), False),
        ("has_kernels", "gfx1100", KernelSet(kernels=("gfx1100",)), True),
        ("has_kernels", "gfx803", KernelSet(kernels=("gfx1100",)), False),
    ],
)
def test_an_operator_on_a_known_fact(op: Operator, value: Any, expected: Any, holds: bool | None) -> None:
    outcome = compare(op, fact(value), expected)
    assert outcome.holds is holds
    assert outcome.expected
    assert bool(outcome.why) is (holds is None)


@pytest.mark.parametrize("op", get_args(Operator))
def test_no_operator_makes_anything_of_an_unknown_fact(op: Operator) -> None:
    outcome = compare(op, NOBODY, "12.8")
    assert outcome.holds is None
    assert outcome.why == "nobody looked"


@pytest.mark.parametrize("op", get_args(Operator))
def test_what_is_absent_meets_only_absence_and_exclusion(op: Operator) -> None:
    assert compare(op, NONE, "12.8").holds is (op in ("absent", "not_in"))


def test_every_operator_says_what_it_accepts() -> None:
    assert set(ACCEPTS) == set(get_args(Operator))


YES, NO = fact("8.6"), fact("7.0")


@pytest.mark.parametrize(
    ("facts", "across", "holds", "failing"),
    [
        ((YES, YES), "any", True, 0),
        ((YES, NO), "any", True, 1),
        ((NO, NO), "any", False, 2),
        ((NO, NOBODY), "any", None, 1),
        ((YES, NOBODY), "any", True, 0),
        ((YES, NO), "all", False, 1),
        ((YES, NOBODY), "all", None, 0),
        ((YES, YES), "all", True, 0),
        ((), "any", False, 0),
    ],
)
def test_one_fact_per_gpu(facts: tuple[Any, ...], across: Any, holds: bool | None, failing: int) -> None:
    gpus = PerGpu(items=tuple((f"GPU {i}", one) for i, one in enumerate(facts)))
    outcome = compare("version_at_least", gpus, "7.5", across)
    assert outcome.holds is holds
    assert len(outcome.failing) == failing


def test_the_floor_is_named_in_the_numbers_of_the_system() -> None:
    linux, windows, either = (
        compare("serves_cuda", fact(DriverStack(driver="600", windows=w)), "12.8").expected for w in (False, True, None)
    )
    assert (linux, windows, either) == ("≥ 525.60.13", "≥ 528.33", "≥ 525.60.13 (Windows 528.33)")
