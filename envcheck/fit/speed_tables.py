"""The constants of the speed model, as data: `requirements_matrix/speed.toml`, read once."""

from __future__ import annotations

import tomllib
from functools import cache

import msgspec

from envcheck.resources import folder
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record
from envcheck.schema.speed import WeightKind

_FILE = "speed.toml"


class Format(Record):
    """One storage format of weights."""

    bits: float
    kind: WeightKind


class Spread(Record):
    """Measured over predicted, 10th and 90th percentile, of one class of runs that the fit had not seen."""

    low: float
    high: float
    rows: int


class SpeedTables(Record):
    """The whole file. `terms` are the constants of `envcheck.fit.speed_terms`, flattened to "table.key"."""

    source: str
    checked: str
    terms: dict[str, dict[str, float]]
    engines: dict[str, str]
    """Engine names as printed (lower case, matched by the longest that is contained) and their class."""
    formats: dict[str, Format]
    spreads: dict[str, Spread]

    def flat(self) -> dict[str, float]:
        """`terms` with keys "decode.moe"."""
        return {f"{table}.{key}": value for table, keys in self.terms.items() for key, value in keys.items()}


@cache
def tables() -> SpeedTables:
    """The tables. Raises EnvcheckError naming the file and key of a bad value."""
    path = folder("requirements_matrix") / _FILE
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), SpeedTables)
    except (OSError, ValueError) as error:
        raise EnvcheckError(f"{_FILE} in requirements_matrix cannot be used: {error}.") from None


@cache
def terms() -> dict[str, float]:
    """The constants as one flat mapping."""
    return tables().flat()


@cache
def engine_class(name: str) -> str:
    """The class of an engine's name ("llama.cpp (llama-cpp-python)" → "llama"); unknown engines count as eager."""
    said = name.lower()
    known = [key for key in tables().engines if key in said]
    return tables().engines[max(known, key=len)] if known else "eager"
