"""Order of versions as people and programs write them, specifiers over them, and their plain numbers.

`key`, `at_least` and `within` cover what PEP 440 says of release, pre-, post- and dev-parts and local labels, and the
plain dotted numbers of drivers and C libraries. They exist beside `packaging` because importing that costs more than
judging a machine; the property tests compare the two. `version` is the release part alone as numbers, for tables of
lines and for text that is no version of Python's ("535.216.01", "v0.6.4.post1 (git)").
"""

from __future__ import annotations

import re
from functools import lru_cache

# Compiled when first needed: plain dotted numbers, which is nearly all there is, do without.
_VERSION = r"""v?(?:\d+!)?(?P<release>\d+(?:\.\d+)*)
        (?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_n>\d*))?
        (?:(?:[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_n>\d*))|-(?P<post_short>\d+))?
        (?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_n>\d*))?
        (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?"""
LONGEST = 100
"""No version is longer; what is comes from a damaged or hostile text, and Python refuses numbers of 4,300 digits."""
_OPERATORS = ("===", "==", "!=", "<=", ">=", "~=", "<", ">")
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}

Key = tuple[tuple[int, ...], tuple[int, str, int], int, tuple[int, int]]


@lru_cache(maxsize=4096)
def key(version: str) -> Key | None:
    """A value that sorts as the versions do; None where the text is no version. The local label is left out."""
    if len(version) > LONGEST:
        return None
    parts = base(version.strip()).split(".")
    if all(part.isdecimal() and part.isascii() for part in parts) and _is_label(local(version.strip())):
        return _trimmed(tuple(map(int, parts))), (1, "", 0), -1, (1, 0)
    match = _pattern().fullmatch(version.strip())
    if match is None:
        return None
    release = _trimmed(tuple(int(part) for part in match["release"].split(".")))
    is_dev = match["dev"] is not None
    post = match["post_n"] or match["post_short"] if match["post"] or match["post_short"] else None
    has_post = match["post"] is not None or match["post_short"] is not None
    if match["pre"]:
        name = match["pre"].lower()
        pre = (0, _PRE.get(name, name), int(match["pre_n"] or 0))
    elif is_dev and not has_post:
        pre = (-1, "", 0)
    else:
        pre = (1, "", 0)
    return (
        release,
        pre,
        int(post or 0) if has_post else -1,
        (0, int(match["dev_n"] or 0)) if is_dev else (1, 0),
    )


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    return re.compile(_VERSION, re.VERBOSE | re.IGNORECASE | re.ASCII)


def _is_label(text: str) -> bool:
    return not text or text.isalnum()


def _trimmed(release: tuple[int, ...]) -> tuple[int, ...]:
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    return release


def base(version: str) -> str:
    """The version without its local label: "2.7.0+cu128" gives "2.7.0"."""
    return version.split("+", 1)[0]


def local(version: str) -> str:
    """The local label, or the empty text: "2.7.0+cu128" gives "cu128"."""
    return version.partition("+")[2]


def at_least(version: str, floor: str) -> bool | None:
    """Whether `version` >= `floor`; None where one of them is no version."""
    mine, other = key(version), key(floor)
    return None if mine is None or other is None else mine >= other


@lru_cache(maxsize=1024)
def clauses(specifier: str) -> tuple[tuple[str, str], ...] | None:
    """The (operator, version) pairs of a specifier such as ">=3.11,<3.15"; None where it cannot be read."""
    pairs: list[tuple[str, str]] = []
    for part in specifier.split(","):
        if not part.strip():
            continue
        text = part.strip()
        operator = next((op for op in _OPERATORS if text.startswith(op)), "")
        version = text.removeprefix(operator).strip()
        if not operator or key(version.removesuffix(".*")) is None:
            return None
        pairs.append((operator, version))
    return tuple(pairs)


def within(version: str, specifier: str) -> bool | None:
    """Whether `version` satisfies every clause (empty: any version does); None where either cannot be read.

    Pre-releases are compared like any other version: what is installed is judged, nothing is being selected.
    """
    mine, pairs = key(version), clauses(specifier)
    if mine is None or pairs is None:
        return None
    return all(_holds(mine, version, operator, other) for operator, other in pairs)


def _holds(mine: Key, version: str, operator: str, other: str) -> bool:
    if other.endswith(".*"):
        prefix = _release(other[:-2])
        same = _padded(_release(version), len(prefix))[: len(prefix)] == prefix
        return same if operator == "==" else not same
    theirs = key(other)
    if theirs is None:
        return False
    match operator:
        case "==" | "===":
            return mine == theirs and ("+" not in other or local(version) == local(other))
        case "!=":
            return mine != theirs
        case ">=":
            return mine >= theirs
        case "<=":
            return mine <= theirs
        case ">":
            # PEP 440: >1.7 is not met by 1.7.post1, which is still 1.7.
            return mine > theirs and not (mine[:2] == theirs[:2] and theirs[2] == -1 and mine[2] >= 0)
        case "<":
            # PEP 440: <1.7 is not met by 1.7rc1.
            early = mine[1][0] < 1 and theirs[1][0] == 1 and theirs[2] == -1
            return mine < theirs and not (mine[0] == theirs[0] and early)
        case _:  # "~="
            prefix = _release(base(other))[:-1]
            return mine >= theirs and _padded(_release(version), len(prefix))[: len(prefix)] == prefix


def _release(version: str) -> tuple[int, ...]:
    match = _pattern().fullmatch(version.strip())
    return tuple(int(part) for part in match["release"].split(".")) if match else ()


def _padded(release: tuple[int, ...], length: int) -> tuple[int, ...]:
    return release + (0,) * (length - len(release))


# --- the release part alone ------------------------------------------------------------------------------------------

Version = tuple[int, ...]
_NUMBERS = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}")


def version(text: str | None) -> Version | None:
    """The release part of a version as numbers; None where there is none ("dev", "N/A")."""
    return _numbers(text) if text else None


@lru_cache(maxsize=4096)
def _numbers(text: str) -> Version | None:
    match = _NUMBERS.match(text.strip().lstrip("vV"))
    return tuple(int(part) for part in match.group().split(".")) if match else None


def dotted(numbers: Version) -> str:
    """A version tuple as people write it."""
    return ".".join(map(str, numbers))
