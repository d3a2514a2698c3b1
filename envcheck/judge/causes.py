"""Root causes that no row speaks for: the rules of `envcheck/judge/rules/`, run on a machine's readings.

A row compares one fact; a rule joins several. Where rows already name a cause, its rule is left to pasted reports, so
that nothing is said twice and a check stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.discover import load, names
from envcheck.judge import rows
from envcheck.schema.facts import Absent, Known, Observation, value_of
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Finding, Intent, Link, Severity, Status, Verdict

RULES = "envcheck.judge.rules"
PREFIX = "machine.cause."
"""What the ids of these verdicts begin with; the cause follows."""


PROVED_FROM_FILES = frozenset({"accelerator_wheel_mismatch", "numpy_abi_mismatch"})
"""Causes that rows suspect from versions and that compiled modules prove: their `Rule.proved` runs all the same."""


ABOUT_GPUS = frozenset({
    "device_permission_denied", "driver_userspace_mismatch", "gpu_hardware_fault", "gpu_memory_in_use",
    "gpu_memory_insufficient", "kv_cache_memory_insufficient", "p2p_or_iommu_fault", "parallel_size_exceeds_gpus",
    "visible_devices_misconfigured",
})  # fmt: skip
"""Causes that no reading of a machine without a GPU can show; their rules are not even loaded there."""
ABOUT_A_MODEL = frozenset({"backend_too_old_for_model", "host_resources_insufficient"})
"""Causes that readings show only of a model that was named."""
SAID_ONLY = frozenset({"shared_library_missing"})
"""Causes whose rules read error lines alone."""


def _may_clash(snapshot: Snapshot) -> bool:
    """Whether there is something that rules can hold against torch or NumPy: libraries that compiled modules link, or
    NumPy 2, under which modules made for NumPy 1 stop."""
    linked = any(package.needs_libraries for package in value_of(snapshot.python.packages) or ())
    numpy = value_of(snapshot.python.package("numpy")) or "1"
    return linked or not numpy.startswith(("0.", "1"))


def spoken_for() -> set[str]:
    """Causes that rows of the matrix name, whichever backends are being judged."""
    matrices = (rows.matrix_of(name) for name in ("machine", *rows.backend_names()))
    return {row.cause for matrix in matrices for row in matrix.requirement if row.cause}


def cause_verdicts(snapshot: Snapshot, intent: Intent) -> Iterator[Verdict]:
    """One verdict for each cause that a rule finds and no row speaks for.

    The rules look at GPUs and at what is installed for them; a machine with neither has nothing for them to find.
    """
    no_gpu = isinstance(snapshot.gpus, Absent)
    if no_gpu and not isinstance(snapshot.python.package("torch"), Known):
        return
    from envcheck.judge.diagnose import merge
    from envcheck.judge.rule import Case, Rule

    case, spoken = Case(snapshot, intent), spoken_for()
    for name in names(RULES):
        if (no_gpu and name in ABOUT_GPUS) or (not intent.model and name in ABOUT_A_MODEL) or name in SAID_ONLY:
            continue
        if name in spoken and not (name in PROVED_FROM_FILES and _may_clash(snapshot)):
            continue
        rule: Rule = load(RULES, name, "RULE")
        look = rule.proved if name in spoken else rule.judge
        found = list(look(case)) if look else []
        if found:
            yield verdict_of(merge(found), rule.link)


def verdict_of(finding: Finding, link: Link) -> Verdict:
    """A finding as a verdict: only what is certain and decisive counts as a broken requirement."""
    severity: Severity = finding.severity
    if severity == "blocker" and finding.confidence != "certain":
        severity = "warning"
    status: Status = "not_met" if severity == "blocker" else "warning"
    quotes = [quote.text for quote in finding.evidence]
    return Verdict(
        id=PREFIX + finding.cause,
        backend="machine",
        title=finding.cause.replace("_", " ").capitalize(),
        status=status,
        severity=severity,
        link=link,
        cause=finding.cause,
        says=finding.says,
        expected="no sign of it",
        actual=quotes[0] if quotes else f"{finding.confidence} sign",
        evidence=tuple(Observation(source="readings", value=text) for text in quotes),
        remedy=finding.remedy,
    )
