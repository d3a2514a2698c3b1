"""The backend, or the transformers under it, does not know the model's architecture."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._arrivals import arrivals, build_of_python_package, first_build, first_ollama, first_release
from envcheck.judge.rules._common import finding
from envcheck.judge.versions import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.paste import Line
from envcheck.schema.verdict import Finding

CAUSE = "backend_too_old_for_model"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the release in which the model's family arrived."""
    yield from spoken(case, CAUSE)
    yield from _unknown_type(case)
    for owner, since in first_release(case.model):
        have = case.package(owner)
        if have and have < since and "dev" not in (getattr(case.snapshot.python.package(owner), "value", "")):
            relevant = owner == "transformers" or case.backend in ("", owner)
            yield finding(
                CAUSE,
                "blocker" if relevant and owner == case.backend else "warning",
                f"{owner} {dotted(have)} is older than {dotted(since)}, the first release that knows this model.",
                case.package_quote(owner),
                confidence="likely",
            )
    yield from _ollama(case)
    yield from _llama_cpp(case)


_UNKNOWN_TYPE = r"^(?:\W{0,6}|.{0,80}\s)KeyError: ['\"]([a-z][a-z0-9_]{2,40})['\"]\s*$"


def _unknown_type(case: Case) -> Iterator[Finding]:
    """transformers looks a model's type up in its table of configurations and has no such entry."""
    for line, match in case.paste.matching("keyerror: ", _UNKNOWN_TYPE):
        row = next((row for row in arrivals().family if row.model_type == match.group(1)), None)
        if row and row.transformers:
            says = f"transformers has no model type {row.model_type!r} here; {row.transformers} is the first that does."
            yield finding(CAUSE, "blocker", says, quoted(line))
            return


_ARCHITECTURE = r"general\.architecture\s.{0,20}=\s{0,3}([\w.-]{2,40})"


def _ollama(case: Case) -> Iterator[Finding]:
    """The release of Ollama against the model that was to run, or the architecture that its log prints."""
    presence = case.snapshot.backend("ollama") if case.backend == "ollama" else None
    fact = presence.binary if presence else None
    have = version(value_of(fact)) if fact else None
    if fact is None or have is None:
        return
    for name, line in _named(case):
        since = first_ollama(name)
        if since and have < since:
            says = f"Ollama {dotted(have)} is older than {dotted(since)}, the first release that knows {name}."
            evidence = (case.quote("ollama", fact), quoted(line) if line else None)
            yield finding(CAUSE, "warning", says, *evidence, confidence="likely")
            return


def _named(case: Case) -> list[tuple[str, Line | None]]:
    """The architectures that a loader printed, then the model that was to run."""
    printed = case.paste.matching("general.architecture", _ARCHITECTURE)
    return [*((match.group(1), line) for line, match in printed), (case.model, None)]


def _llama_cpp(case: Case) -> Iterator[Finding]:
    """The build of llama.cpp, alone or inside llama-cpp-python, against the build that added the architecture."""
    if case.backend not in ("llama.cpp", "llama-cpp-python", ""):
        return
    label = value_of(case.snapshot.python.package("llama-cpp-python"))
    presence = case.snapshot.backend("llama.cpp")
    own = version((value_of(presence.binary) or "").removeprefix("b")) if presence else None
    build = build_of_python_package(label) if label else own[0] if own else None
    if build is None:
        return
    evidence = case.package_quote("llama-cpp-python") if label or not presence else case.quote("build", presence.binary)
    carrier = f"llama-cpp-python {label} carries build {build} of llama.cpp" if label else f"This is build {build}"
    for name, line in _named(case):
        since = first_build(name)
        if since and build < since:
            says = f"{carrier}; build {since} is the first that knows {name}."
            yield finding(CAUSE, "warning", says, evidence, quoted(line) if line else None, confidence="likely")
            return


RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("dependency_version_conflict",))
