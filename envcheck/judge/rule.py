"""What a rule is, and what it may look at.

A rule is a pure function from a `Case` to findings: readings first (a snapshot of this machine, or one reconstructed
from
a paste), what somebody tried to run, and, where there is a paste, its lines. A sign is one way in which software
says that
it met the cause; signs are evidence on top of readings, and the only evidence where a paste holds nothing but an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from envcheck.judge.rows import load
from envcheck.judge.stack import Torch, torch_of
from envcheck.judge.versions import Version, version
from envcheck.schema.cause import CauseFile, Sign
from envcheck.schema.facts import Absent, Known, Unknown, value_of
from envcheck.schema.need import ModelNeed
from envcheck.schema.paste import NAMED, Line, Paste, compiled
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Finding, Intent, Link, Quote, Remedy

if TYPE_CHECKING:
    from envcheck.judge.device import Device

_SHORT = {
    "tp": "tensor-parallel-size",
    "tp-size": "tensor-parallel-size",
    "pp": "pipeline-parallel-size",
    "pp-size": "pipeline-parallel-size",
}
"""Short spellings of options that vLLM and SGLang take: their `--help`."""
MAX_QUOTE = 400
MAX_EVIDENCE = 6


class Case:
    """One thing to judge: readings, intent, and the paste they came from (empty for a machine)."""

    def __init__(
        self,
        snapshot: Snapshot,
        intent: Intent | None = None,
        paste: Paste | None = None,
        need: ModelNeed | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.intent = intent or Intent()
        self.paste = paste or Paste("")
        self.need = need
        """What the model takes, where somebody worked it out; None where it is not known."""

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """Every GPU that was named, with what the hardware table knows about it."""
        from envcheck.judge.device import devices_of  # brings the hardware table, which few machines without a GPU need

        return devices_of(self.snapshot)

    @cached_property
    def nvidia(self) -> tuple[Device, ...]:
        """The NVIDIA GPUs among `devices`."""
        return tuple(d for d in self.devices if d.vendor == "nvidia")

    @cached_property
    def amd(self) -> tuple[Device, ...]:
        """The AMD GPUs among `devices`."""
        return tuple(d for d in self.devices if d.vendor == "amd")

    @cached_property
    def torch(self) -> Torch:
        """The torch build: version and the accelerator stack it was made for."""
        return torch_of(self.snapshot)

    @cached_property
    def backend(self) -> str:
        """The backend that was to run, lower case; "" where nothing names one."""
        return (self.intent.backend or "").lower().replace("llamacpp", "llama.cpp")

    @cached_property
    def quantization(self) -> str:
        """The quantization that was asked for or that the model's name states; "" where neither does."""
        return (self.intent.quantization or "").lower()

    @cached_property
    def model(self) -> str:
        """The model's name, lower case; "" where none was given."""
        return (self.intent.model or "").lower()

    def counted(self) -> bool:
        """True where a program listed the GPUs or somebody said how many there are; else their number is not known."""
        return NAMED not in getattr(self.snapshot.gpus, "source", "")

    def has_gpu(self) -> bool:
        """True where a GPU that a backend could use is known to be there."""
        return any(d.kind != "integrated" for d in self.devices)

    def package(self, name: str) -> Version | None:
        """The installed version of a distribution, or None where it is absent or nobody looked."""
        return version(value_of(self.snapshot.python.package(name)))

    def packages_listed(self) -> bool:
        """True where a whole package list was read, so that a missing name means a missing package."""
        fact = self.snapshot.python.packages
        if not isinstance(fact, Known):
            return False
        return self.snapshot.origin == "machine" or "pip list," in fact.source + "," or "conda list" in fact.source

    def option(self, name: str) -> str | None:
        """The value of a backend option ("tensor_parallel_size"); "" for a bare switch, None where it was not given."""
        wanted = name.replace("_", "-")
        for flag in self.intent.flags:
            key, _, value = flag.partition("=")
            spelled = key.lstrip("-").replace("_", "-")
            if _SHORT.get(spelled, spelled) == wanted:
                return value
        return None

    def variable(self, name: str) -> str | None:
        """An environment variable's value, or None where it is unset or nobody looked."""
        return value_of(self.snapshot.variable(name))

    def quote(self, label: str, fact: Known[Any] | Absent | Unknown) -> Quote:
        """The line a reading rests on, or the reading itself where it did not come from a paste."""
        source = getattr(fact, "source", "")
        number = line_number(source)
        if number and number <= len(self.paste.lines):
            return quoted(Line(number, self.paste.lines[number - 1]))
        said = value_of(fact) if isinstance(fact, Known) else "none" if isinstance(fact, Absent) else "unknown"
        return Quote(line=0, text=f"{label}: {said} ({source or 'not read'})"[:MAX_QUOTE])

    def package_quote(self, name: str) -> Quote:
        """The line that lists the package `name`."""
        fact = self.snapshot.python.package(name)
        spoken_as = name.replace("-", "_")
        if isinstance(fact, Known):
            for word in {name, spoken_as}:
                for line in self.paste.having(word):
                    if fact.value in line.text:
                        return quoted(line)
        return self.quote(name, fact)


class Rule(NamedTuple):
    """A cause and how to recognise it. `explains` names causes whose findings this one usually lies behind; `proved`
    is the part of `judge` that rests on compiled modules alone."""

    cause: str
    link: Link
    judge: Callable[[Case], Iterable[Finding]]
    explains: tuple[str, ...] = ()
    proved: Callable[[Case], Iterable[Finding]] | None = None


def quoted(line: Line) -> Quote:
    """`line` as evidence, cut to what a person reads."""
    return Quote(line=line.number, text=line.text.strip()[:MAX_QUOTE])


def line_number(source: str) -> int:
    """The line in "… line 12" (how importers name their sources), or 0."""
    head, _, tail = source.rpartition("line ")
    return int(tail) if head != source and tail.isdigit() else 0


def spoken(case: Case, cause: str) -> Iterator[Finding]:
    """A finding for every sign of `cause` that the paste holds, quoting the first lines that show it."""
    if not any(case.paste.lines):
        return
    for sign in signs_of(cause):
        lines = list(said(case, sign))
        if lines:
            yield Finding(
                cause=cause,
                severity=sign.severity,
                says=sign.says,
                evidence=tuple(quoted(line) for line in lines[:MAX_EVIDENCE]),
                remedy=remedy_of(cause),
                confidence=sign.confidence,
            )


def signs_of(cause: str) -> tuple[Sign, ...]:
    """The signs of `requirements_matrix/causes/<cause>.toml`, read once."""
    return load(f"causes/{cause}", CauseFile).sign


def remedy_of(cause: str) -> Remedy:
    """What helps against `cause`, from the same file."""
    return load(f"causes/{cause}", CauseFile).remedy


def said(case: Case, sign: Sign) -> Iterator[Line]:
    """The lines of the paste in which `sign` is spoken."""
    for line in case.paste.having(sign.has):
        if sign.matches and not compiled(sign.matches).search(line.text):
            continue
        lower = line.text.lower()
        if not any(word in lower for word in sign.unless) and not probing(case, lower):
            yield line


def probing(case: Case, lower: str) -> bool:
    """Whether a line is vLLM trying one platform after the other, which fails for all that the machine is not.

    `vllm/platforms/__init__.py`: with debug logging every attempt is told. The one for CUDA says something only where
    no platform was found in the end.
    """
    if "platform is not available because" not in lower and "happens when checking" not in lower:
        return False
    found = [line.text.lower() for line in case.paste.having("automatically detected platform")]
    return "cuda" not in lower or any("platform cpu" not in text for text in found)
