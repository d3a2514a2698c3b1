"""What a project says about its machines in `envcheck.toml`: pins, bans, variables, headroom and waivers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from envcheck.judge import rows, versions
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.facts import Absent, Known, Observation, Record, TextFact, Unknown, value_of
from envcheck.schema.requirement import Backend, Release
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Link, Remedy, Status, Verdict

FILE = "envcheck.toml"


class Waiver(Record):
    """A finding that a project accepts, for a stated reason, until a date."""

    id: str
    """A verdict id."""
    reason: str
    owner: str
    expires: str
    """ISO date; from that day on the waiver has no effect."""


class Policy(Record):
    """`envcheck.toml`."""

    pins: tuple[str, ...] = ()
    """Requirements that must stay installed as they are ("torch==2.7.0")."""
    forbidden: tuple[str, ...] = ()
    """Packages that must not be installed ("xformers")."""
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    """Environment variables that must be set to these values."""
    headroom_gib: float | None = None
    """GPU memory that must stay free on every GPU, in GiB."""
    waiver: tuple[Waiver, ...] = ()


def load_policy(path: Path) -> Policy:
    """Read a project's `envcheck.toml`; raises InputError that names file, key, reason and what to do."""
    try:
        policy = rows.parse(path.read_bytes(), Policy, path.name)
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror}): name a readable policy file.") from error
    except EnvcheckError as error:
        raise InputError(str(error)) from error
    for pin in policy.pins:
        _split(pin)
    for waiver in policy.waiver:
        _check_date(waiver)
    return policy


def _check_date(waiver: Waiver) -> None:
    from datetime import date

    try:
        date.fromisoformat(waiver.expires)
    except ValueError as error:
        text = f"{FILE}: the waiver of {waiver.id!r} expires on {waiver.expires!r}: write a date such as 2027-01-31."
        raise InputError(text) from error


def _split(requirement: str) -> tuple[str, str]:
    """Name and specifier of a pin."""
    index = next((i for i, letter in enumerate(requirement) if letter in "=<>!~"), len(requirement))
    name, specifier = requirement[:index].strip(), requirement[index:].strip()
    if name and specifier and versions.clauses(specifier):
        return _normalised(name), specifier
    raise InputError(f"{FILE}: the pin {requirement!r} is not understood: write a name and a version ('torch==2.7.0').")


def _normalised(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


# --- waivers ---------------------------------------------------------------------------------------------------------


def waive(verdicts: Iterable[Verdict], policy: Policy, today: str) -> list[Verdict]:
    """Carry the waivers out: a waived finding stays visible, an expired waiver has no effect and is named."""
    waivers = {waiver.id: waiver for waiver in policy.waiver}
    return [_waived(v, waivers[v.id], today) if v.id in waivers else v for v in verdicts]


def _waived(verdict: Verdict, waiver: Waiver, today: str) -> Verdict:
    if verdict.status not in ("not_met", "warning", "unknown"):
        return verdict
    if today >= waiver.expires:
        says = f"{verdict.says} The waiver by {waiver.owner} expired on {waiver.expires}."
        return msgspec.structs.replace(verdict, says=says)
    says = f"{verdict.says} Waived by {waiver.owner} until {waiver.expires}: {waiver.reason}"
    return msgspec.structs.replace(verdict, status="waived", says=says)


def unused_waivers(policy: Policy, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """A waiver that names no verdict of this judgement is told, so that a misspelt id cannot hide."""
    ids = {verdict.id for verdict in verdicts}
    return [
        Verdict(
            id=f"policy.waiver.{waiver.id}",
            backend="machine",
            title="Waiver without effect",
            status="warning",
            severity="info",
            says=f"The waiver of {waiver.id!r} by {waiver.owner} names no verdict of this judgement.",
            expected="a verdict id",
            actual=waiver.id,
            source=FILE,
        )
        for waiver in policy.waiver
        if waiver.id not in ids
    ]


# --- what the project itself asks for --------------------------------------------------------------------------------


def project_verdicts(policy: Policy, snapshot: Snapshot) -> list[Verdict]:
    """The project's own requirements, judged."""
    return [
        *_pins(policy, snapshot),
        *_bans(policy, snapshot),
        *_variables(policy, snapshot),
        *_headroom(policy, snapshot),
    ]


def _verdict(
    id: str,
    title: str,
    link: Link,
    answer: tuple[bool | None, str, str],
    says: str,
    source: str,
    remedy: Remedy | None = None,
) -> Verdict:
    """`answer` is whether it holds, what was expected, what is."""
    holds, expected, actual = answer
    status: Status = "unknown" if holds is None else "met" if holds else "not_met"
    return Verdict(
        id=id,
        backend="machine",
        title=title,
        status=status,
        severity="blocker",
        link=link,
        says=says,
        expected=expected,
        actual=actual,
        evidence=(Observation(source=source, value=f"{title}: {actual}"),),
        source=FILE,
        remedy=remedy if holds is False else None,
        fixed_by_install=link == "wheel",
    )


def _read(fact: TextFact, absent: str) -> tuple[str, str]:
    """How a fact reads, and where it is from."""
    if isinstance(fact, Known):
        return fact.value, fact.source
    return (absent, fact.source) if isinstance(fact, Absent) else ("unknown", fact.why)


def _pins(policy: Policy, snapshot: Snapshot) -> Iterator[Verdict]:
    for pin in policy.pins:
        name, specifier = _split(pin)
        fact = snapshot.python.package(name)
        actual, source = _read(fact, "not installed")
        holds = versions.within(fact.value, specifier) if isinstance(fact, Known) else _unless_unknown(fact, False)
        remedy = Remedy(says=f"Install {pin} again.", commands=(f'pip install "{pin}"',))
        says = f"The project pins {pin}; {name} is {actual}."
        yield _verdict(
            f"policy.pin.{name}", f"Pin of {name}", "wheel", (holds, specifier, actual), says, source, remedy
        )


def _bans(policy: Policy, snapshot: Snapshot) -> Iterator[Verdict]:
    for name in map(_normalised, policy.forbidden):
        fact = snapshot.python.package(name)
        actual, source = _read(fact, "not installed")
        holds = _unless_unknown(fact, not isinstance(fact, Known))
        remedy = Remedy(says=f"Remove {name}.", commands=(f"pip uninstall {name}",))
        says = f"The project forbids {name}; it is {actual}."
        answer = (holds, "not installed", actual)
        yield _verdict(f"policy.ban.{name}", f"Ban of {name}", "wheel", answer, says, source, remedy)


def _variables(policy: Policy, snapshot: Snapshot) -> Iterator[Verdict]:
    for name, wanted in policy.variables.items():
        fact = snapshot.variable(name)
        actual, source = _read(fact, "not set")
        holds = _unless_unknown(fact, isinstance(fact, Known) and fact.value == wanted)
        remedy = Remedy(says=f"Set {name}.", commands=(f"export {name}={wanted}",))
        says = f"The project wants {name}={wanted}; it is {actual}."
        yield _verdict(
            f"policy.variable.{name.lower()}", name, "backend", (holds, wanted, actual), says, source, remedy
        )


def release_conflicts(policy: Policy, backend: Backend, release: Release | None) -> list[Verdict]:
    """What a release of a backend would install against the project's pins and bans."""
    if release is None:
        return []
    wants = _wants(release)
    banned = [
        _conflict(backend, release, name, f"no {name}", f"installs {name}{wants[name]}, which the project forbids")
        for name in map(_normalised, policy.forbidden)
        if name in wants
    ]
    return [*_moved_pins(policy, backend, release), *banned]


def newest_that_keeps_pins(policy: Policy, backend: Backend, releases: Iterable[Release]) -> Release | None:
    """The newest of `releases` (newest first) that is known to move none of the project's exact pins."""
    holds_torch = any(name == "torch" for name, _ in map(_split, policy.pins))
    told = (release for release in releases if release.torch or not holds_torch)
    return next((release for release in told if not _moved_pins(policy, backend, release)), None)


def _moved_pins(policy: Policy, backend: Backend, release: Release) -> list[Verdict]:
    wants = _wants(release)
    return [
        _conflict(backend, release, name, f"{name}{pin}", f"needs {name}{wants[name]} against the pin {name}{pin}")
        for name, pin in map(_split, policy.pins)
        if pin.startswith("==") and name in wants and versions.within(pin.removeprefix("=="), wants[name]) is False
    ]


def _wants(release: Release) -> dict[str, str]:
    return {**release.packages, **({"torch": release.torch} if release.torch else {})}


def _conflict(backend: Backend, release: Release, name: str, expected: str, clash: str) -> Verdict:
    return Verdict(
        id=f"{backend.name}.policy.{name}",
        backend=backend.name,
        title=f"Project policy on {name}",
        status="not_met",
        severity="blocker",
        link="wheel",
        cause="dependency_version_conflict",
        says=f"{backend.title} {release.version} {clash}.",
        expected=expected,
        actual=clash,
        evidence=(Observation(source=release.source, value=clash),),
        source=FILE,
        checked=release.checked,
        remedy=Remedy(
            says=f"Install {backend.title} in an environment of its own, outside this project, or change {FILE}.",
            scope="new_environment",
        ),
    )


def _headroom(policy: Policy, snapshot: Snapshot) -> Iterator[Verdict]:
    """Free GPU memory now must be at least the headroom; what a model leaves of it is the memory table's to say."""
    if policy.headroom_gib is None:
        return
    gpus = snapshot.gpus
    if isinstance(gpus, Absent):
        return
    free = [value_of(gpu.memory_free_mib) for gpu in gpus.value] if isinstance(gpus, Known) else [None]
    known = [mib for mib in free if mib is not None]
    holds = None if len(known) < len(free) else min(known, default=0) >= policy.headroom_gib * 1024
    actual = ", ".join("unknown" if mib is None else f"{mib / 1024:.1f} GiB" for mib in free)
    says = f"The project keeps {policy.headroom_gib:g} GiB of GPU memory free; free now: {actual}."
    source = gpus.source if isinstance(gpus, Known) else gpus.why
    wanted = f"≥ {policy.headroom_gib:g} GiB"
    verdict = _verdict("policy.headroom", "GPU headroom", "device", (holds, wanted, actual), says, source)
    yield msgspec.structs.replace(verdict, severity="warning", status="warning" if holds is False else verdict.status)


def _unless_unknown(fact: TextFact, answer: bool) -> bool | None:
    return None if isinstance(fact, Unknown) else answer
