"""A snapshot in the making: facts arrive in any order from several importers, each with the line that states it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from envcheck.schema.facts import Absent, Known, Observation, Unknown
from envcheck.schema.paste import NAMED, Line, Paste
from envcheck.schema.snapshot import (
    Amd,
    BackendPresence,
    Containers,
    Cpu,
    Gpu,
    Intel,
    Memory,
    Nvidia,
    Os,
    Package,
    Python,
    Snapshot,
    Toolchain,
    TorchBuild,
    Vendor,
)

_SECTIONS: dict[str, Any] = {
    "os": Os,
    "cpu": Cpu,
    "memory": Memory,
    "nvidia": Nvidia,
    "amd": Amd,
    "intel": Intel,
    "toolchain": Toolchain,
    "containers": Containers,
}
_NOT_STATED = Unknown(why="the paste does not state it")
_MAX_GPUS = 64
_SECRET = re.compile(r"token|secret|passw|api_?key|credential", re.IGNORECASE)
_SEPARATORS = re.compile(r"[-_.]+")
_EMPTY = frozenset(
    {"", "n/a", "none", "could not collect", "not found", "unknown", "no cuda", "null", "[not supported]"}
)


class Importer(NamedTuple):
    """One kind of text: `read` takes what it recognises out of a paste and says whether there was any."""

    name: str
    read: Callable[[Paste, Draft], bool]


class Draft:
    """Facts found so far: the first statement wins, later different ones are kept beside it."""

    def __init__(self) -> None:
        self._facts: dict[str, list[tuple[Any, str]]] = {}
        self._gpus: dict[tuple[str, int], dict[str, list[tuple[Any, str]]]] = {}
        self._packages: dict[str, tuple[str, str]] = {}
        self._variables: dict[str, tuple[str, str]] = {}
        self._backends: dict[str, tuple[str, str]] = {}
        self._named: set[str] = set()
        self.lists: list[str] = []
        self.options: dict[str, str] = {}

    def put(self, path: str, value: Any, line: Line) -> None:
        """Note that `line` states `value` for "section.field"; text that means "nothing" is not noted."""
        if isinstance(value, str):
            value = value.strip()
            if value.lower() in _EMPTY:
                return
        if value is not None:
            self._facts.setdefault(path, []).append((value, f"line {line.number}"))

    def states(self, path: str) -> bool:
        """Whether some line stated "section.field"."""
        return path in self._facts

    def absent(self, path: str, line: Line) -> None:
        """Note that `line` says the thing is not there."""
        self._facts.setdefault(path, []).append((Absent, f"line {line.number}"))

    def gpu(self, vendor: str, index: int, field: str, value: Any, line: Line) -> None:
        """Note a property of one GPU."""
        if 0 <= index < _MAX_GPUS and value is not None and value != "":
            gpu = self._gpus.setdefault((vendor, index), {})
            gpu.setdefault(field, []).append((value, f"line {line.number}"))

    def named(self, vendor: str) -> None:
        """Note that the GPUs of this vendor were only named: nobody counted them."""
        self._named.add(vendor)

    def count(self, number: int, line: Line) -> None:
        """Note how many GPUs there are, where only one of one vendor was named."""
        if len(self._gpus) != 1 or not 1 < number <= _MAX_GPUS:
            return
        (vendor, first), fields = next(iter(self._gpus.items()))
        for index in range(first + 1, first + number):
            self.gpu(vendor, index, "name", fields["name"][0][0] if "name" in fields else None, line)
        self._named.discard(vendor)

    def gpus(self, vendor: str) -> list[int]:
        """Indices of the GPUs of one vendor noted so far."""
        return sorted(index for v, index in self._gpus if v == vendor)

    def package(self, name: str, version: str, line: Line, origin: str = "") -> None:
        """Note an installed distribution; the first version stays."""
        self._packages.setdefault(_SEPARATORS.sub("-", name).lower(), (version, origin))
        self._facts.setdefault("python.packages", []).append((True, f"line {line.number}"))

    def variable(self, name: str, value: str, line: Line) -> None:
        """Note an environment variable; secrets are dropped."""
        if not _SECRET.search(name):
            self._variables.setdefault(name, (value, f"line {line.number}"))

    def backend(self, name: str, version: str, line: Line) -> None:
        """Note the version of a backend that is not a Python distribution."""
        self._backends.setdefault(name, (version, f"line {line.number}"))

    def option(self, name: str, value: str) -> None:
        """Note an option with which the backend was started."""
        self.options.setdefault(name.lstrip("-").replace("_", "-"), value)

    def build(self) -> Snapshot:
        """The snapshot: what no line stated is unknown."""
        sections: dict[str, dict[str, Any]] = {}
        for path, stated in self._facts.items():
            section, _, field = path.rpartition(".")
            if path != "python.packages":
                sections.setdefault(section, {})[field] = _fact(stated)
        for vendor in ("nvidia", "amd", "intel"):
            gpus = self._vendor(vendor)
            if gpus is not None:
                sections.setdefault(vendor, {})["gpus"] = gpus
        made = {name: _SECTIONS[name](**fields) for name, fields in sections.items() if name in _SECTIONS}
        return Snapshot(
            origin="imported",
            alias="pasted",
            python=self._python(sections),
            environment=self._environment(),
            backends=self._presences(),
            **made,
        )

    def _vendor(self, vendor: str) -> Known[tuple[Gpu, ...]] | None:
        found = [
            Gpu(index=index, vendor=cast(Vendor, v), **{field: _fact(stated) for field, stated in fields.items()})
            for (v, index), fields in sorted(self._gpus.items())
            if v == vendor
        ]
        return Known(value=tuple(found), source=NAMED if vendor in self._named else "paste") if found else None

    def _python(self, sections: dict[str, dict[str, Any]]) -> Python:
        packages = tuple(
            Package(name=name, version=version, origin=origin)
            for name, (version, origin) in sorted(self._packages.items())
        )
        listed: Known[tuple[Package, ...]] | Unknown = _NOT_STATED
        if packages:
            lists = ", ".join(dict.fromkeys(self.lists))
            listed = Known(value=packages, source=f"paste: {lists}" if lists else "paste")
        torch = TorchBuild(**sections.get("python.torch", {}))
        return Python(packages=listed, torch=torch, **sections.get("python", {}))

    def _environment(self) -> Known[dict[str, str]] | Unknown:
        if not self._variables:
            return _NOT_STATED
        return Known(value={name: value for name, (value, _) in self._variables.items()}, source="paste")

    def _presences(self) -> Known[tuple[BackendPresence, ...]] | Unknown:
        if not self._backends:
            return _NOT_STATED
        found = tuple(
            BackendPresence(name=name, binary=Known(value=version, source=source))
            for name, (version, source) in sorted(self._backends.items())
        )
        return Known(value=found, source="paste")


def _fact(stated: list[tuple[Any, str]]) -> Any:
    value, source = stated[0]
    if value is Absent:
        known = [pair for pair in stated if pair[0] is not Absent]
        if not known:
            return Absent(source=source)
        value, source = known[0]
    others = {str(v)[:200]: s for v, s in reversed(stated) if v is not Absent and v != value}
    also = tuple(Observation(source=s, value=v) for v, s in list(others.items())[:8])
    return Known(value=value, source=source, also=also)


def after(text: str, separator: str = ":") -> str:
    """What follows the first `separator`, stripped."""
    return text.partition(separator)[2].strip()


def mib(text: str) -> int | None:
    """A size with its unit ("23.7 GiB", "46068MiB") in MiB, or None. GB is read as GiB, as these tools mean it."""
    match = _SIZE.search(text)
    if not match:
        return None
    factor = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}[match.group(2).lower()]
    return int(float(match.group(1)) * factor)


_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s?([kmgt])i?b?\b", re.IGNORECASE)


def vendor_of(name: str) -> str:
    """The maker of the GPU called `name`: the four that backends know, or "other"."""
    lower = name.lower()
    if any(word in lower for word in ("amd", "radeon", "instinct", "gfx", "radv", "vega", "navi")):
        return "amd"
    if any(word in lower for word in ("intel", "arc ", "arc(", "iris", "uhd graphics")):
        return "intel"
    if "apple" in lower:
        return "apple"
    if any(word in lower for word in ("llvmpipe", "swiftshader", "adreno", "mali", "microsoft", "virtio", "lavapipe")):
        return "other"
    return "nvidia"
