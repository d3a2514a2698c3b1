"""What the requirements matrix holds: one typed row per file entry, each with the address it rests on.

A requirement is data: a fact path, an operator out of a closed set, and a value (or the path of the fact that gives the
value). There are no expressions. `envcheck/judge/` says what each path and operator means.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from envcheck.schema.facts import Record
from envcheck.schema.verdict import Link, Remedy, Severity

Operator = Literal[
    "exists",
    "absent",
    "equals",
    "in",
    "not_in",
    "contains_any",
    "contains_all",
    "number_at_least",
    "number_at_most",
    "version_at_least",
    "version_below",
    "version_in",
    "serves_cuda",
    "serves_cuda_in_full",
    "has_kernels",
]
"""The closed set of comparisons; `envcheck/judge/operators.py` defines each."""

Across = Literal["any", "all"]
"""For facts with one value per GPU: is one GPU enough (the others are named in a warning), or must each hold?"""

Value = str | int | float | bool | tuple[str, ...]


class Sourced(Record):
    """A row that says where it comes from."""

    source: str
    """Address of the page, file or metadata the row was read from."""
    checked: str
    """ISO date on which the row was last compared with its source."""


class Condition(Record):
    """A comparison of one fact: `value` is literal, `value_of` names the fact that gives it."""

    fact: str
    op: Operator
    value: Value | None = None
    value_of: str | None = None
    across: Across = "any"


class Requirement(Sourced):
    """One row: what must hold, for which versions of its backend, and what to say and do where it does not.

    `says`, `met`, `limits` and the remedy are templates: `{expected}`, `{actual}` and any fact path in braces.
    """

    id: str
    title: str
    """A few words for the first column of a table ("CUDA driver")."""
    link: Link
    severity: Severity
    fact: str
    op: Operator
    says: str
    """One sentence for a person where the row is not met."""
    value: Value | None = None
    value_of: str | None = None
    across: Across = "any"
    versions: str = ""
    """Specifier on the backend's version in which the row holds; empty means every version."""
    when: tuple[Condition, ...] = ()
    """All must hold for the row to apply."""
    met: str = ""
    cause: str | None = None
    remedy: Remedy | None = None
    otherwise: tuple[Remedy, ...] = ()
    """Other ways out, in any order."""
    requires: tuple[str, ...] = ()
    """Ids of the verdicts without which this one means nothing."""
    to_install: bool = False
    """True where the row only decides whether the backend can be installed: it is left out once it is installed."""
    fixed_by_install: bool = False
    limits: str = ""
    """What still works where the row is not met ("Runs on the CPU only."): the backend is then limited, not blocked."""


class Backend(Record):
    """What a backend is and how it is recognised."""

    name: str
    title: str
    kind: Literal["package", "program", "machine"]
    packages: tuple[str, ...] = ()
    """Distributions that carry it, the first being the one to install."""
    port: int | None = None
    install: tuple[str, ...] = ()
    """Commands that install it, as text for a person."""
    cpu_index: str = ""
    """Package index of its wheels for the CPU alone, which bear the label "cpu"; "{version}" stands for the release."""
    cpu_since: str = ""
    """The first release with such a wheel whose needs are known."""
    cpu_source: str = ""
    """Where that index is named."""
    cpu_checked: str = ""


class OtherBuild(Sourced):
    """A wheel of a release beside its default one, from an index of its own: "0.31.0+cu129"."""

    variant: str
    """Index tag of the CUDA runtime it is built for, which is also its local version label."""
    index: str
    """Address of the package index that carries it."""


class Release(Sourced):
    """One release of a backend and what its metadata pins; a release that is not listed takes the row just below it."""

    version: str
    python: str = ""
    """`Requires-Python`."""
    torch: str = ""
    """Specifier on torch ("==2.14.0", ">=2.6")."""
    variant: str = ""
    """Index tag of the CUDA runtime that its default wheel is built for ("cu130")."""
    min_compute_capability: str = ""
    glibc: str = ""
    """glibc floor in the wheel's platform tag."""
    packages: dict[str, str] = msgspec.field(default_factory=dict)
    """Other requirements: distribution to specifier."""
    builds: tuple[OtherBuild, ...] = ()
    """Wheels beside the default one, to be asked for by their label."""
    index: str = ""
    """Address of the package index that carries it, where that is not the default one."""


class BackendMatrix(Record):
    """One `requirements_matrix/<backend>.toml`."""

    backend: Backend
    release: tuple[Release, ...] = ()
    """Newest first."""
    requirement: tuple[Requirement, ...] = ()
