"""Installed versions against what other installed packages ask for: `requirements_matrix/pins.toml`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from envcheck.judge import versions
from envcheck.judge.rows import load
from envcheck.judge.rule import Case
from envcheck.judge.rules._matrix import installed, unreleased
from envcheck.judge.versions import version
from envcheck.schema.facts import Known
from envcheck.schema.pins import Pins, PinTable

_BUILT_FOR_CUDA = frozenset({"vllm", "sglang", "torch", "torchvision", "torchaudio", "xformers"})
"""Packages whose published wheels are CUDA builds: their ROCm builds and development versions ask for other things."""
TORCH_FAMILY = ("torchvision", "torchaudio", "xformers")
"""Packages of which every release goes with one torch."""


class BrokenPin(NamedTuple):
    """An installed version outside what an installed release of another package asks for."""

    owner: str
    have: str
    name: str
    expected: str
    there: str


def broken_pins(case: Case) -> Iterator[BrokenPin]:
    """Every requirement of an installed package that another installed package does not meet.

    Requirements of one release are held only against that release; between two listed releases a package is wrong
    where it lies outside both.
    """
    for owner in _table():
        have = installed(case, owner)
        if have is None or _other_build(case, owner, have):
            continue
        near = [row.requires for row in neighbours(owner, have)]
        for name in near[0] if near else ():
            there = installed(case, name)
            specifiers = [asked[name] for asked in near if name in asked]
            if there and len(specifiers) == len(near) and not unreleased(there) and _outside(there, specifiers):
                yield BrokenPin(owner, have, name, " or ".join(dict.fromkeys(specifiers)), there)


def missing_pins(case: Case) -> Iterator[tuple[str, str, str]]:
    """(owner, package, specifier) of everything vLLM and SGLang ask for that the list would show and does not."""
    for owner in ("vllm", "sglang"):
        have = installed(case, owner)
        if have is None or _other_build(case, owner, have):
            continue
        near = neighbours(owner, have)
        for name, specifier in near[0].requires.items() if near else ():
            told = _says_missing(case, name) or case.packages_listed()
            if told and all(name in row.requires for row in near) and not_listed(case, name):
                yield f"{owner} {have}", name, specifier


def neighbours(owner: str, have: str) -> list[Pins]:
    """The row of this release, or the rows just below and just above it; empty outside the table."""
    rows, mine = _table().get(owner, ()), versions.base(have)
    above: Pins | None = None
    for row in rows:
        if versions.at_least(mine, row.first):
            if versions.at_least(row.last or row.first, mine):
                return [row]
            return [row, above] if above else []
        above = row
    return []


def pinned_packages() -> tuple[str, ...]:
    """The packages whose releases the table knows."""
    return tuple(_table())


@lru_cache(maxsize=1)
def _table() -> dict[str, tuple[Pins, ...]]:
    """The rows by package, newest first."""
    found: dict[str, list[Pins]] = {}
    for row in load("pins", PinTable).pins:
        found.setdefault(row.package, []).append(row)
    return {package: tuple(rows) for package, rows in found.items()}


def _other_build(case: Case, owner: str, have: str) -> bool:
    return owner in _BUILT_FOR_CUDA and (unreleased(have) or case.torch.accelerator == "rocm")


def _outside(there: str, specifiers: list[str]) -> bool:
    mine = versions.base(there)
    if any(versions.within(mine, specifier) is not False for specifier in specifiers):
        return False
    bounds = sorted(
        pair for text in specifiers for _, number in versions.clauses(text) or () if (pair := version(number))
    )
    number = version(mine)
    return number is not None and bool(bounds) and not (len(set(specifiers)) > 1 and bounds[0] <= number <= bounds[-1])


_SHOWN_BY_COLLECT_ENV = ("flashinfer", "flashinfer-python", "triton", "torch", "torchvision", "transformers", "numpy")
_SHOWN_BY_SGLANG = ("vllm", "triton", "torchao", "xgrammar", "outlines", "sgl-kernel", "transformers", "numpy")


def not_listed(case: Case, name: str) -> bool:
    """True only where the list that was read would show the package and does not.

    SGLang prints "Module Not Found" for packages whose import fails; its line for FlashInfer is not to be trusted,
    because the name of the distribution changed.
    """
    fact = case.snapshot.python.packages
    if not isinstance(fact, Known) or case.package(name) is not None:
        return False
    if case.snapshot.origin == "machine" or "pip list," in fact.source + ",":
        return True
    shown: tuple[str, ...] = (
        _SHOWN_BY_COLLECT_ENV if "collect_env" in fact.source.replace("sglang_check_env", "") else ()
    )
    if "sglang_check_env" in fact.source:
        shown = tuple(n for n in _SHOWN_BY_SGLANG if _says_missing(case, n))
    return name in shown


def _says_missing(case: Case, name: str) -> bool:
    literal = f"{name.replace('-', '_')}: module not found"
    return any(line.text.lower().strip().startswith(literal) for line in case.paste.having(literal))
