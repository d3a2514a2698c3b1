"""What a project says about its machines in `envcheck.toml`: pins, bans, variables, headroom and waivers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from envcheck.judge import rows, tables, versions
from envcheck.judge.facts_of import Scene
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.facts import Absent, Known, Observation, Record, Unknown, value_of
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Remedy, Status, Verdict


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
    """GPU memory that must stay free, in GiB."""
    waiver: tuple[Waiver, ...] = ()


def load_policy(path: Path) -> Policy:
    """Read a project's `envcheck.toml`; raises InputError that names the key and what to do."""
    try:
        policy = rows.parse(path.read_bytes(), Policy, path.name)
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror}).") from error
    except EnvcheckError as error:
        raise InputError(str(error)) from error
    for pin in policy.pins:
        _split(pin)
    return policy


def _split(requirement: str) -> tuple[str, str]:
    for index, letter in enumerate(requirement):
        if letter in "=<>!~":
            name, specifier = requirement[:index].strip(), requirement[index:]
            if name and versions.clauses(specifier):
                return name.lower().replace("_", "-").replace(".", "-"), specifier
    raise InputError(f"The pin {requirement!r} is not understood: write a name and a version, such as 'torch==2.7.0'.")


def apply(policy: Policy, snapshot: Snapshot, verdicts: Iterable[Verdict], today: str) -> list[Verdict]:
    """The verdicts with the project's own added and its waivers carried out; a waived finding stays visible."""
    own = [
        *_pins(policy, snapshot),
        *_bans(policy, snapshot),
        *_variables(policy, snapshot),
        *_headroom(policy, snapshot),
    ]
    return [_waive(verdict, policy, today) for verdict in [*verdicts, *own]]


def _waive(verdict: Verdict, policy: Policy, today: str) -> Verdict:
    waiver = next((w for w in policy.waiver if w.id == verdict.id), None)
    if waiver is None or verdict.status not in ("not_met", "warning", "unknown"):
        return verdict
    if today >= waiver.expires:
        says = f"{verdict.says} The waiver of {waiver.owner} expired on {waiver.expires}."
        return msgspec.structs.replace(verdict, says=says)
    says = f"{verdict.says} Waived by {waiver.owner} until {waiver.expires}: {waiver.reason}"
    return msgspec.structs.replace(verdict, status="waived", says=says)


def _verdict(
    id: str,
    title: str,
    holds: bool | None,
    says: str,
    expected: str,
    actual: str,
    source: str,
    remedy: Remedy | None = None,
    *,
    fixed_by_install: bool = False,
) -> Verdict:
    status: Status = "unknown" if holds is None else "met" if holds else "not_met"
    return Verdict(
        id=id, backend="machine", title=title, status=status, severity="blocker", link="wheel", says=says,
        expected=expected, actual=actual, evidence=(Observation(source=source, value=actual),), source="envcheck.toml",
        remedy=None if holds else remedy, fixed_by_install=fixed_by_install,
    )  # fmt: skip


def _pins(policy: Policy, snapshot: Snapshot) -> Iterable[Verdict]:
    for pin in policy.pins:
        name, specifier = _split(pin)
        fact = snapshot.python.package(name)
        holds = versions.within(fact.value, specifier) if isinstance(fact, Known) else _absent_is(fact, False)
        actual = value_of(fact) or ("not installed" if isinstance(fact, Absent) else "unknown")
        says = f"The project pins {pin}; {actual if isinstance(fact, Known) else name + ' is ' + actual}."
        remedy = Remedy(says=f"Install {pin} again.", commands=(f'pip install "{pin}"',))
        yield _verdict(
            f"policy.pin.{name}",
            f"Pin of {name}",
            holds,
            says,
            specifier,
            actual,
            "target packages",
            remedy,
            fixed_by_install=True,
        )


def _bans(policy: Policy, snapshot: Snapshot) -> Iterable[Verdict]:
    for name in policy.forbidden:
        fact = snapshot.python.package(name)
        holds = _absent_is(fact, True) if not isinstance(fact, Known) else False
        actual = value_of(fact) or ("not installed" if isinstance(fact, Absent) else "unknown")
        installed = f"installed in version {actual}" if isinstance(fact, Known) else actual
        says = f"The project forbids {name}; it is {installed}."
        remedy = Remedy(says=f"Remove {name}.", commands=(f"pip uninstall {name}",))
        yield _verdict(
            f"policy.ban.{name}",
            f"Ban of {name}",
            holds,
            says,
            "not installed",
            actual,
            "target packages",
            remedy,
            fixed_by_install=True,
        )


def _variables(policy: Policy, snapshot: Snapshot) -> Iterable[Verdict]:
    for name, wanted in policy.variables.items():
        fact = snapshot.variable(name)
        holds = fact.value == wanted if isinstance(fact, Known) else _absent_is(fact, False)
        actual = value_of(fact) or ("not set" if isinstance(fact, Absent) else "unknown")
        says = f"The project wants {name}={wanted}; it is {actual}."
        remedy = Remedy(says=f"Set {name}.", commands=(f"export {name}={wanted}",))
        yield _verdict(f"policy.variable.{name.lower()}", name, holds, says, wanted, actual, "environment", remedy)


def _headroom(policy: Policy, snapshot: Snapshot) -> Iterable[Verdict]:
    """Free GPU memory now must be at least the headroom: what a model leaves of it is the fit's to say."""
    if policy.headroom_gib is None:
        return
    wanted = f"≥ {policy.headroom_gib:g} GiB free"
    gpus = snapshot.gpus
    if not isinstance(gpus, Known):
        yield _verdict(
            "policy.headroom", "GPU headroom", None, "The GPUs were not read.", wanted, "unknown", "envcheck.toml"
        )
        return
    free = [value_of(gpu.memory_free_mib) for gpu in gpus.value]
    known = [mib for mib in free if mib is not None]
    holds = None if len(known) < len(free) else min(known, default=0) >= policy.headroom_gib * 1024
    actual = ", ".join("unknown" if mib is None else f"{mib / 1024:.1f} GiB" for mib in free)
    says = f"The project keeps {policy.headroom_gib:g} GiB of GPU memory free; free now: {actual}."
    yield _verdict("policy.headroom", "GPU headroom", holds, says, wanted, actual, gpus.source)


def _absent_is(fact: Absent | Unknown, answer: bool) -> bool | None:
    return None if isinstance(fact, Unknown) else answer


def variable_verdicts(scene: Scene) -> Iterable[Verdict]:
    """A warning for each variable that is set and that the judged version of the backend ignores or deprecates."""
    environment = value_of(scene.snapshot.environment) or {}
    for name, value in sorted(environment.items()):
        for row in tables.variable_rows(name, value, scene.backend.name, scene.version):
            if row.effect == "works":
                continue
            yield Verdict(
                id=f"{scene.backend.name}.variable.{name.lower()}",
                backend=scene.backend.name,
                title=name,
                status="warning",
                severity="warning",
                link="backend",
                says=row.says,
                cause=None,
                expected="not set" if row.effect == "none" else "replaced",
                actual=f"{name}={value}",
                evidence=(Observation(source="environment", value=f"{name}={value}"),),
                source=row.source,
                checked=row.checked,
                remedy=Remedy(says=row.instead) if row.instead else None,
            )
