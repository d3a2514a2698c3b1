"""What is wrong with the matrix itself: vacuous rows, overlaps, unknown words, missing or stale sources.

Types are the loader's to refuse; this looks at what types cannot say. Pure but for reading the matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import combinations
from typing import Any, Literal

from envcheck.judge import rows, versions
from envcheck.judge.evaluate import STALE_AFTER_DAYS
from envcheck.judge.facts_of import VOCABULARY, kind_of
from envcheck.judge.operators import ACCEPTS
from envcheck.judge.row_verdicts import HOLE, OWN_HOLES
from envcheck.schema.arrivals import Arrivals
from envcheck.schema.cause import Images
from envcheck.schema.causes import CAUSES
from envcheck.schema.facts import Record
from envcheck.schema.gaps import GpuFeatures, KernelGaps, OldCpus
from envcheck.schema.pins import Binaries, Incompatible, PinTable, Toolkits
from envcheck.schema.requirement import BackendMatrix, Condition, Operator, Requirement, Sourced
from envcheck.schema.tables import (
    Checkpoints,
    Distros,
    DriverInstalls,
    Drivers,
    Kernels,
    Packages,
    Recipes,
    Rocm,
    TorchWheels,
    Variables,
)

TABLES: dict[str, type[Record]] = {
    "torch_wheels": TorchWheels,
    "drivers": Drivers,
    "rocm": Rocm,
    "distros": Distros,
    "packages": Packages,
    "variables": Variables,
    "quantization": Kernels,
    "model_arrivals": Arrivals,
    "pins": PinTable,
    "binaries": Binaries,
    "toolkits": Toolkits,
    "incompatible": Incompatible,
    "images": Images,
    "kernel_gaps": KernelGaps,
    "cpu_features": OldCpus,
    "quantized_checkpoints": Checkpoints,
    "checkpoints": Recipes,
    "driver_installs": DriverInstalls,
    "gpu_features": GpuFeatures,
}
_VERSION_OPERATORS = ("version_at_least", "version_below", "serves_cuda", "serves_cuda_in_full")
_LIST_OPERATORS = ("in", "not_in", "contains_any", "contains_all")
_NUMBER_OPERATORS = ("number_at_least", "number_at_most")


class Complaint(Record):
    """One thing to correct (error) or to look at again (warning)."""

    file: str
    row: str
    level: Literal["error", "warning"]
    says: str


def lint(today: str) -> list[Complaint]:
    """Every complaint about the shipped matrix; raises EnvcheckError where a file cannot be read at all."""
    found: list[Complaint] = []
    machine = {row.id for row in rows.load("machine", BackendMatrix).requirement}
    for stem in rows.backend_files():
        matrix = rows.load(stem, BackendMatrix)
        found += lint_backend(f"{stem}.toml", matrix, machine)
        builds = [build for release in matrix.release for build in release.builds]
        found += _sources(f"{stem}.toml", [*matrix.release, *builds, *matrix.requirement], today)
    for name, kind in TABLES.items():
        table = rows.load(name, kind)
        found += _sources(f"{name}.toml", _rows_of(table), today)
    return [*found, *_table_overlaps()]


def lint_backend(file: str, matrix: BackendMatrix, known_ids: Iterable[str] = ()) -> Iterator[Complaint]:
    """The complaints about one backend's rows; `known_ids` are those of other files that `requires` may name."""
    ids = {row.id for row in matrix.requirement} | set(known_ids)
    for row in matrix.requirement:
        for says in _row_faults(row, ids, matrix.backend.name):
            yield Complaint(file=file, row=row.id, level="error", says=says)
    for first, second in combinations(matrix.requirement, 2):
        if first.id == second.id and _verdict_part(first) != _verdict_part(second) and overlap(first, second):
            says = f"overlaps another row of this id: {first.versions or 'all'!r} and {second.versions or 'all'!r}"
            yield Complaint(file=file, row=first.id, level="error", says=says)
    listed = [release.version for release in matrix.release]
    if listed != sorted(listed, key=lambda v: versions.key(v) or ((0,), (0, "", 0), 0, (0, 0)), reverse=True):
        yield Complaint(file=file, row="release", level="error", says="releases are not newest first")


# --- one row ---------------------------------------------------------------------------------------------------------


def _row_faults(row: Requirement, ids: set[str], backend: str) -> Iterator[str]:
    if not row.id.startswith(f"{backend}."):
        yield f"the id must start with '{backend}.'"
    if not row.says.strip() or not row.title.strip():
        yield "says nothing: fill `says` and `title`"
    if row.cause is not None and row.cause not in CAUSES:
        yield f"cause {row.cause!r} is not in the vocabulary"
    if row.versions and versions.clauses(row.versions) is None:
        yield f"versions {row.versions!r} is no specifier"
    yield from (f"requires the unknown id {other!r}" for other in row.requires if other not in ids)
    yield from _condition_faults(row)
    for condition in row.when:
        yield from _condition_faults(condition)
        if _same(condition, row):
            yield "is vacuous: its own condition says the same as the row"
    yield from _template_faults(row)
    for remedy in (row.remedy, *row.otherwise):
        if remedy is not None and remedy.commands and remedy.scope is None:
            yield f"the remedy {remedy.says[:40]!r} has commands and does not say what they change: fill `scope`"


def _condition_faults(row: Requirement | Condition) -> Iterator[str]:
    kind = kind_of(row.fact)
    if kind is None:
        yield f"fact {row.fact!r} is not in the vocabulary"
        return
    if kind not in ACCEPTS[row.op]:
        yield f"operator {row.op!r} does not work on {row.fact!r}, which is a {kind}"
    if row.op in ("exists", "absent"):
        if row.value is not None or row.value_of is not None:
            yield f"operator {row.op!r} takes no value"
    elif (row.value is None) == (row.value_of is None):
        yield "needs exactly one of `value` and `value_of`"
    elif row.value_of is not None and kind_of(row.value_of) is None:
        yield f"value_of {row.value_of!r} is not in the vocabulary"
    elif row.value is not None:
        yield from _value_faults(row.op, row.value)
    if row.across == "all" and not (row.fact in VOCABULARY and VOCABULARY[row.fact].per_gpu):
        yield f"across = 'all' means nothing for {row.fact!r}, which is one value"


def _value_faults(op: Operator, value: Any) -> Iterator[str]:
    if op in _LIST_OPERATORS and (not isinstance(value, tuple) or not value):
        yield f"is vacuous: operator {op!r} needs a list with something in it"
    elif op in _NUMBER_OPERATORS and (isinstance(value, bool) or not isinstance(value, int | float)):
        yield f"operator {op!r} needs a number"
    elif op == "number_at_least" and value <= 0:
        yield "is vacuous: every number is at least that"
    elif op in _VERSION_OPERATORS and (not isinstance(value, str) or versions.key(value) is None):
        yield f"operator {op!r} needs a version"
    elif op == "version_in" and (not isinstance(value, str) or not versions.clauses(value)):
        yield "is vacuous: operator 'version_in' needs a specifier such as '>=3.11,<3.15'"


def _template_faults(row: Requirement) -> Iterator[str]:
    remedies = [text for r in (row.remedy, *row.otherwise) if r for text in (r.says, *r.commands)]
    for text in (row.says, row.met, row.limits, *remedies):
        for match in HOLE.finditer(text):
            if match[1] not in OWN_HOLES and kind_of(match[1]) is None:
                yield f"the template names {match[0]}, which is not in the vocabulary"
        if re.search(r"\{[^}]*$|\{\}", text):
            yield f"the template {text[:40]!r} has an open brace"


def _same(condition: Condition, row: Requirement) -> bool:
    return (condition.fact, condition.op, condition.value, condition.value_of) == (
        row.fact,
        row.op,
        row.value,
        row.value_of,
    )


# --- between rows ----------------------------------------------------------------------------------------------------


def _verdict_part(row: Requirement) -> tuple[object, ...]:
    return (row.fact, row.op, row.value, row.value_of, row.severity)


def overlap(first: Any, second: Any) -> bool:
    """Whether two `versions` specifiers have a version in common.

    A specifier changes only at the versions it names, so it is enough to look at those, just above and far below them.
    """
    named = [v.removesuffix(".*") for s in (first.versions, second.versions) for _, v in versions.clauses(s) or ()]
    points = ["0", "9999", *named, *(f"{v}.0.1" for v in named)]
    return any(versions.within(p, first.versions) and versions.within(p, second.versions) for p in points)


def _table_overlaps() -> Iterator[Complaint]:
    variables = rows.load("variables", Variables).variable
    for one, two in combinations(variables, 2):
        if (one.name, one.backend, one.values) == (two.name, two.backend, two.values) and overlap(one, two):
            yield Complaint(file="variables.toml", row=one.name, level="error", says="overlaps another row")
    kernels = rows.load("quantization", Kernels).kernel
    for left, right in combinations(kernels, 2):
        same = (left.backend, left.kind, left.method) == (right.backend, right.kind, right.method)
        if same and overlap(left, right):
            yield Complaint(file="quantization.toml", row=left.method, level="error", says="overlaps another row")
    wheels = rows.load("torch_wheels", TorchWheels)
    for a, b in combinations(wheels.arch_list, 2):
        if (a.variant, a.platform) == (b.variant, b.platform) and _both(wheels, a.releases, b.releases):
            yield Complaint(file="torch_wheels.toml", row=a.variant, level="error", says="overlaps another list")
    for release in wheels.release:
        if release.pypi not in release.variants:
            says = f"its PyPI build {release.pypi!r} is not among its variants"
            yield Complaint(file="torch_wheels.toml", row=release.version, level="error", says=says)


def _both(wheels: TorchWheels, one: str, two: str) -> bool:
    return any(versions.within(r.version, one) and versions.within(r.version, two) for r in wheels.release)


# --- sources ---------------------------------------------------------------------------------------------------------


def _rows_of(table: Record) -> list[Sourced]:
    """Every row of a table that names a source, however deep it lies."""
    found: list[Sourced] = []
    for field in table.__struct_fields__:
        value = getattr(table, field)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Sourced):
                found.append(item)
            elif isinstance(item, Record):
                found += _rows_of(item)
    return found


_NAMES = ("id", "name", "version", "method", "variant", "pattern", "package")


def _sources(file: str, sourced: Sequence[Sourced], today: str) -> Iterator[Complaint]:
    for row in sourced:
        name = next(
            (
                str(getattr(row, k))
                for k in ("id", "name", "version", "method", "variant", "pattern", "package")
                if hasattr(row, k)
            ),
            "",
        )
        if not row.source.startswith(("https://", "PyPI metadata of ")):
            yield Complaint(file=file, row=name, level="error", says="has no source address")
        try:
            age = (date.fromisoformat(today) - date.fromisoformat(row.checked)).days
        except ValueError:
            yield Complaint(file=file, row=name, level="error", says=f"checked {row.checked!r} is no date")
            continue
        if age < 0:
            yield Complaint(file=file, row=name, level="error", says=f"checked {row.checked} lies in the future")
        elif age > STALE_AFTER_DAYS:
            says = f"last checked {age} days ago ({row.checked}): compare it with its source again"
            yield Complaint(file=file, row=name, level="warning", says=says)
