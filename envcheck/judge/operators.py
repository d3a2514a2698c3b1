"""The closed set of comparisons that a row may use, each on typed values, each three-valued.

A comparison answers yes, no or "cannot tell"; a fact that nobody read is never a yes and never a no.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from envcheck.judge import tables, versions
from envcheck.schema.facts import Absent, Known, Record, Unknown
from envcheck.schema.requirement import Across, Operator

Kind = Literal["text", "version", "number", "flag", "texts", "driver", "kernels"]
"""What kind of value a fact has; `ACCEPTS` says which operators make sense for it."""

AnyFact = Known[Any] | Absent | Unknown


class DriverStack(Record):
    """NVIDIA's driver: its version, the CUDA version it reports, and whether it has Windows numbers."""

    driver: str | None = None
    cuda: str | None = None
    windows: bool | None = None

    def __str__(self) -> str:
        reports = f"CUDA {self.cuda}" if self.cuda else ""
        return f"{self.driver} ({reports})" if self.driver and reports else self.driver or reports


class KernelSet(Record):
    """GPU architectures that a binary carries code for."""

    kernels: tuple[str, ...]
    ptx: str = ""

    def __str__(self) -> str:
        return " ".join(self.kernels) + (" +PTX" if self.ptx else "")


class PerGpu(Record):
    """One fact per GPU, with the name a person knows the card by."""

    items: tuple[tuple[str, AnyFact], ...]


class Outcome(Record):
    """The answer of one comparison, and how both sides read."""

    holds: bool | None
    expected: str
    actual: str
    why: str = ""
    """For "cannot tell": what is missing."""
    failing: tuple[str, ...] = ()
    """GPUs that do not meet it where others do."""
    passing: tuple[str, ...] = ()


ACCEPTS: dict[Operator, tuple[Kind, ...]] = {
    "exists": ("text", "version", "number", "flag", "texts", "driver", "kernels"),
    "absent": ("text", "version", "number", "flag", "texts", "driver", "kernels"),
    "equals": ("text", "flag", "number"),
    "in": ("text", "version"),
    "not_in": ("text", "version"),
    "contains_any": ("texts",),
    "contains_all": ("texts",),
    "number_at_least": ("number",),
    "number_at_most": ("number",),
    "version_at_least": ("version",),
    "version_below": ("version",),
    "version_in": ("version",),
    "serves_cuda": ("driver",),
    "serves_cuda_in_full": ("driver",),
    "has_kernels": ("version", "text"),
}


def compare(op: Operator, fact: AnyFact | PerGpu, value: Any, across: Across = "any") -> Outcome:
    """Apply `op`; a fact with one value per GPU holds if one GPU ("any") or every GPU ("all") does."""
    if isinstance(fact, PerGpu):
        return _over_gpus(op, fact, value, across)
    stack = fact.value if isinstance(fact, Known) and isinstance(fact.value, DriverStack) else DriverStack()
    expected = describe(op, value, stack.windows)
    if isinstance(fact, Unknown):
        return Outcome(holds=None, expected=expected, actual="unknown", why=fact.why)
    if op in ("exists", "absent"):
        there = isinstance(fact, Known) and fact.value not in ((), "", None)
        return Outcome(holds=there is (op == "exists"), expected=expected, actual=_show(fact))
    if isinstance(fact, Absent):
        return Outcome(holds=op == "not_in", expected=expected, actual="none")
    holds = _OPERATORS[op](fact.value, value)
    why = "" if holds is not None else f"{_show(fact)!r} cannot be compared with {expected}"
    actual = _common(fact, value) if op == "contains_any" else _show(fact)
    return Outcome(holds=holds, expected=expected, actual=actual, why=why)


def _common(fact: AnyFact, wanted: Any) -> str:
    """What a long list has of the things asked for: a hundred CPU flags say nothing in a table."""
    have = fact.value if isinstance(fact, Known) and isinstance(fact.value, tuple) else ()
    return " ".join(str(one) for one in wanted if one in have) or "none of them"


def _over_gpus(op: Operator, gpus: PerGpu, value: Any, across: Across) -> Outcome:
    each = [(label, compare(op, fact, value)) for label, fact in gpus.items]
    expected = describe(op, value)
    if not each:
        return Outcome(holds=op == "absent", expected=expected, actual="no GPU")
    states = [outcome.holds for _, outcome in each]
    if across == "any":
        holds = True if True in states else None if None in states else False
    else:
        holds = False if False in states else None if None in states else True
    shown = {f"{outcome.actual}" for _, outcome in each}
    actual = next(iter(shown)) if len(shown) == 1 else ", ".join(f"{label}: {o.actual}" for label, o in each)
    return Outcome(
        holds=holds,
        expected=expected,
        actual=actual,
        why=next((outcome.why for _, outcome in each if outcome.holds is None), ""),
        failing=tuple(label for label, outcome in each if outcome.holds is False),
        passing=tuple(label for label, outcome in each if outcome.holds),
    )


def _show(fact: AnyFact) -> str:
    if not isinstance(fact, Known):
        return "none" if isinstance(fact, Absent) else "unknown"
    value = fact.value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def describe(op: Operator, value: Any, windows: bool | None = None) -> str:
    """How the expectation reads in a table; `windows` says whose driver numbers to name (None: both)."""
    shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    match op:
        case "exists":
            return "present"
        case "absent":
            return "absent"
        case "version_at_least" | "number_at_least":
            return f"≥ {shown}"
        case "version_below":
            return f"< {shown}"
        case "number_at_most":
            return f"≤ {shown}"
        case "not_in":
            return f"not {shown}"
        case "in":
            return " or ".join(map(str, value)) if isinstance(value, tuple) else shown
        case "contains_any":
            return f"one of {shown}"
        case "serves_cuda" | "serves_cuda_in_full":
            return f"≥ {_driver_floor(op, shown, windows)}"
        case "has_kernels":
            return f"one of {shown}"
        case _:
            return shown


def _driver_floor(op: Operator, cuda: str, windows: bool | None) -> str:
    floors: list[str | None]
    if op == "serves_cuda":
        row = tables.driver_floor(cuda)
        floors = [row.linux, row.windows] if row else [None, None]
    else:
        floors = [tables.driver_for(cuda, windows=side) for side in (False, True)]
    linux, other = (floor or f"that of CUDA {cuda}" for floor in floors)
    if windows is None and linux != other:
        return f"{linux} (Windows {other})"
    return other if windows else linux


def _serves(stack: DriverStack, cuda: str) -> bool | None:
    return tables.serving(cuda, driver=stack.driver, cuda_driver=stack.cuda, windows=stack.windows).runs


def _serves_in_full(stack: DriverStack, cuda: str) -> bool | None:
    return tables.serving(cuda, driver=stack.driver, cuda_driver=stack.cuda, windows=stack.windows).in_full


def _has_kernels(target: str, kernels: KernelSet) -> bool | None:
    if target.startswith("gfx"):
        return target in kernels.kernels
    return tables.kernels_serve(target, kernels.kernels, kernels.ptx)


def _below(version: str, ceiling: str) -> bool | None:
    reached = versions.at_least(version, ceiling)
    return None if reached is None else not reached


_OPERATORS: dict[Operator, Callable[[Any, Any], bool | None]] = {
    "equals": lambda fact, value: bool(fact == value),
    "in": lambda fact, value: str(fact).lower() in tuple(str(v).lower() for v in value),
    "not_in": lambda fact, value: str(fact).lower() not in tuple(str(v).lower() for v in value),
    "contains_any": lambda fact, value: not set(value).isdisjoint(fact),
    "contains_all": lambda fact, value: set(value) <= set(fact),
    "number_at_least": lambda fact, value: bool(fact >= value),
    "number_at_most": lambda fact, value: bool(fact <= value),
    "version_at_least": versions.at_least,
    "version_below": _below,
    "version_in": versions.within,
    "serves_cuda": _serves,
    "serves_cuda_in_full": _serves_in_full,
    "has_kernels": _has_kernels,
}
